"""Rules become a simulator and an expander: chance, compilation, loops, copies."""
