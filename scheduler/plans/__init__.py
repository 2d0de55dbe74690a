"""Plans: what should move where, decided on a copy of the fleet and handed back as values. Nothing here moves anything."""
