"""Which features an SAE has for a concept: found on one half of the prompts, held to the other."""
