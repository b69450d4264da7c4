"""From a line of the log, as bytes, to what it says. The only state is the clock of a source."""
