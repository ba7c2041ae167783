"""Nodes, their links, signed orders and their results: the only room that speaks to agents."""
