"""What people see of a program: tables, steps, lines of a log; text as text."""
