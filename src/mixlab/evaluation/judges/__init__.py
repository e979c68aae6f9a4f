"""Language models as judges: what was ever asked of them, what it cost, and asking for the rest."""
