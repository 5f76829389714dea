"""Bots and load tests: many clients of one room, driven from one loop."""
