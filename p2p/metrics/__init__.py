"""How a defence is measured: one figure a file, each a count k/n with a 95 % Wilson interval."""
