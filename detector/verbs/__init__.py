"""The verbs, a module each group: what they take, and whom they call.

What does the work is imported when a verb runs.
"""
