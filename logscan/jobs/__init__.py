"""Reading with several processes: parts of a log are sifted apart, what is left is replayed in one.

`sieve` reads one part and leaves out the messages that are plain and wholly in it; `digest` is what it gives;
`replay` reads what was left in, part after part, and refuses a part that what came before it does not fit.
"""
