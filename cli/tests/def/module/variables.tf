variable "name" {
  description = "Name of the bucket"
  type = string
}
variable "acl" { 
  default = "private" 
}
variable "tags" {
  type = map(string)
  default = { team = "a" }
}
variable "rules" {
  type = list(object({ port = number, cidrs = optional(list(string)) }))
  default = []
}
variable "zone" {
  type = string
  default = null
}
