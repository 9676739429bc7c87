"""Losses: functions, and the classes without parameters by which configs choose them."""
