"""mixlab: the laboratory in which an LLM team finds out which data mixture to train on."""
