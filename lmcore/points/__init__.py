"""Points and what can be done with them: coordinates, tables, exports."""
