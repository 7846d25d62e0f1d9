"""How good the verdicts are, against labels."""
