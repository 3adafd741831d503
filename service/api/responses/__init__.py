"""What goes out by the wire. Clients rely on these shapes: fields are added, never taken away."""
