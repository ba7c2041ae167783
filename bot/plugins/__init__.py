"""Chatflows from everywhere: the built-in ones, and those that others drop into a folder.

`bot.plugins.book.FlowBook` is the way in. This file imports nothing: workers start through it.
"""
