"""Exports of users in the warehouse."""
