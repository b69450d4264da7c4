"""Real Postfix, OpenDKIM and rsyslog on a private loopback, and what became of the mail sent through them."""
