"""Lines become legs, legs become messages: who belongs to whom, and when a message is finished."""
