# The candidates stack: an Auto Scaling group of 2 to 4 instances behind a load balancer, over a DynamoDB table.
# It is the twin of ../stack.yaml. The provider speaks to whatever the environment says: AWS by a profile or keys,
# or the endpoint of AWS_ENDPOINT_URL.
#
# In three phases (../apply.sh does them):
#   terraform init
#   terraform apply -var min_size=0 -var desired_capacity=0     # everything, without instances
#   packer build ...                                            # the service baked into an image
#   terraform apply -var image_id=ami-...                       # two instances of that image
#   terraform destroy

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project = var.name_prefix
    }
  }
}

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

# While nothing is baked: Debian 12 as it is.
data "aws_ami" "generic" {
  most_recent = true
  owners      = ["136693071363"] # Debian

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }

  filter {
    name   = "virtualization-type"
    values = ["hvm"]
  }

  filter {
    name   = "root-device-type"
    values = ["ebs"]
  }
}

locals {
  image_id = var.image_id == "" ? data.aws_ami.generic.id : var.image_id
}
