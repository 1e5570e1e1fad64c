"""The measuring grid: attack x task x selection x defence x seed, one cached cell each, and the report made from them."""
