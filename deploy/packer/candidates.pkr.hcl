# Bakes the service into an image: on AWS from Debian 12's official image, on muster from its base image, which the
# same filters find. Packer 1.6.6 (Debian's) and newer ones take it; where `packer plugins` is known, the amazon
# plugin has to be installed first (../apply.sh does). There is no packer block, for 1.6.6 knows none of what it says.
#
#   packer build -var candidate=/usr/local/lib/muster/candidate -var vpc_id=vpc-... -var subnet_id=subnet-... \
#       -var custom_endpoint_ec2="$AWS_ENDPOINT_URL" candidates.pkr.hcl

variable "candidate" {
  description = "The service's binary."
  type        = string
}

variable "name_prefix" {
  description = "The stack's name; images are called after it, and tagged with it."
  type        = string
  default     = "candidates"
}

variable "region" {
  type    = string
  default = "us-east-2"
}

variable "instance_type" {
  type    = string
  default = "t2.micro"
}

variable "vpc_id" {
  description = "Where to bake; the account's default network when empty."
  type        = string
  default     = ""
}

variable "subnet_id" {
  type    = string
  default = ""
}

variable "source_owner" {
  description = "Whose Debian it is: Debian's own account."
  type        = string
  default     = "136693071363"
}

variable "source_sha256" {
  description = "Of what goes into the image, to know it again."
  type        = string
  default     = ""
}

variable "ssh_cidr" {
  description = "From where Packer reaches the builder, for as long as it bakes."
  type        = string
  default     = "0.0.0.0/0"
}

variable "custom_endpoint_ec2" {
  description = "Another endpoint than AWS's; empty on AWS."
  type        = string
  default     = ""
}

source "amazon-ebs" "debian" {
  region                                    = var.region
  custom_endpoint_ec2                       = var.custom_endpoint_ec2
  instance_type                             = var.instance_type
  vpc_id                                    = var.vpc_id
  subnet_id                                 = var.subnet_id
  associate_public_ip_address               = true
  temporary_security_group_source_cidrs     = [var.ssh_cidr]
  ssh_username                              = "admin"
  ssh_timeout                               = "5m"
  ami_name                                  = "${var.name_prefix}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  ami_description                           = "Debian 12 with the candidate service"

  source_ami_filter {
    filters = {
      name                = "debian-12-amd64-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.source_owner]
    most_recent = true
  }

  run_tags = {
    Name               = "image builder"
    "muster:helper-of" = var.name_prefix
  }

  tags = {
    "muster:baked-for" = var.name_prefix
    "muster:sha256"    = var.source_sha256
  }

  snapshot_tags = {
    "muster:baked-for" = var.name_prefix
  }
}

build {
  sources = ["source.amazon-ebs.debian"]

  provisioner "shell" {
    inline = ["mkdir -p bake"]
  }

  provisioner "file" {
    source      = var.candidate
    destination = "bake/candidate"
  }

  provisioner "file" {
    source      = "${path.root}/bake.sh"
    destination = "bake/bake.sh"
  }

  provisioner "file" {
    source      = "${path.root}/candidate.service"
    destination = "bake/candidate.service"
  }

  # stress simulates load; muster's base image has it already.
  provisioner "shell" {
    inline = [
      "chmod 0755 bake/candidate",
      "command -v stress > /dev/null || { sudo apt-get update -q && sudo apt-get install -y -q --no-install-recommends stress; }",
      "sudo sh bake/bake.sh",
      "rm -rf bake && rm -f .ssh/authorized_keys",
    ]
  }
}
