resource "x" "y" { name = "${var.name}-\\n" }
