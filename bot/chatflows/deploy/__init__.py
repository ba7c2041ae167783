"""Bring a container into being."""
