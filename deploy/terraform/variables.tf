variable "region" {
  description = "Where everything is made"
  type        = string
  default     = "us-east-2"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region is a name like us-east-2."
  }
}

variable "name_prefix" {
  description = "The first part of all names, and the value of the Project tag"
  type        = string
  default     = "candidates"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name_prefix))
    error_message = "The name prefix has 3 to 20 lower case letters, digits and hyphens, and begins with a letter."
  }
}

variable "image_id" {
  description = "The image that instances run; empty: Debian 12 as it is, without the service"
  type        = string
  default     = ""

  validation {
    condition     = var.image_id == "" || can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "The image is an id like ami-0123456789abcdef0, or empty."
  }
}

variable "instance_type" {
  description = "How large instances are"
  type        = string
  default     = "t2.micro"
}

variable "min_size" {
  description = "The least number of instances"
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 0 && floor(var.min_size) == var.min_size
    error_message = "The least number of instances is a whole number, 0 or more."
  }
}

variable "max_size" {
  description = "The greatest number of instances"
  type        = number
  default     = 4

  validation {
    condition     = var.max_size >= 1 && floor(var.max_size) == var.max_size
    error_message = "The greatest number of instances is a whole number, 1 or more."
  }
}

variable "desired_capacity" {
  description = "The number of instances to begin with; scaling policies change it later"
  type        = number
  default     = 2

  validation {
    condition     = var.desired_capacity >= 0 && floor(var.desired_capacity) == var.desired_capacity
    error_message = "The number of instances is a whole number, 0 or more."
  }
}

variable "cpu_high_threshold" {
  description = "Average CPU in percent above which an instance is added"
  type        = number
  default     = 60

  validation {
    condition     = var.cpu_high_threshold > 0 && var.cpu_high_threshold <= 100
    error_message = "The threshold is a percentage above 0."
  }
}

variable "cpu_low_threshold" {
  description = "Average CPU in percent below which an instance is removed"
  type        = number
  default     = 60

  validation {
    condition     = var.cpu_low_threshold > 0 && var.cpu_low_threshold <= 100
    error_message = "The threshold is a percentage above 0."
  }
}

variable "table_name" {
  description = "The table that candidates are kept in"
  type        = string
  default     = "Candidates"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.table_name))
    error_message = "The table's name has 3 to 255 letters, digits, dots, hyphens and underscores."
  }
}

variable "key_name" {
  description = "A key pair for ssh to the instances; empty: none"
  type        = string
  default     = ""
}

variable "ssh_cidr" {
  description = "From where ssh to the instances is allowed; empty: from nowhere"
  type        = string
  default     = ""

  validation {
    condition     = var.ssh_cidr == "" || (can(cidrnetmask(var.ssh_cidr)) && !endswith(var.ssh_cidr, "/0"))
    error_message = "Ssh is allowed from a range like 203.0.113.7/32, never from everywhere."
  }
}
