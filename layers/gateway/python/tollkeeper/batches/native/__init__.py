"""Batches that a provider runs itself, for half the price and within a day: one module for each provider's way.

base.py has what they share, choice.py says whose deployment is run by which, calls.py sends what they ask for.
"""
