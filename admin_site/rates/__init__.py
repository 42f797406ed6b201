"""Prices, fees, taxes, codes and policies, and what they come to."""
