"""Params: one typed block per stage (a module each), how a file is read into them, and how rounds override them.

Import the block that you need from its own module, so that a stage depends on its own params only.
"""
