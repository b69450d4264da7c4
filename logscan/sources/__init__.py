"""Inputs: files of any packing, standard input and the journal, as blocks of whole lines in reading order."""
