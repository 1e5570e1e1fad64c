"""Which rows are re-poisoned, where choosing them takes a model: screening without knowledge of the attack."""
