output "url" {
  description = "The service"
  value       = "http://${aws_lb.service.dns_name}"
}

output "load_balancer_dns_name" {
  value = aws_lb.service.dns_name
}

output "auto_scaling_group_name" {
  value = aws_autoscaling_group.service.name
}

output "target_group_arn" {
  value = aws_lb_target_group.service.arn
}

output "table_name" {
  value = aws_dynamodb_table.candidates.name
}

output "vpc_id" {
  value = aws_vpc.main.id
}

output "build_subnet_id" {
  description = "Where the image is baked"
  value       = aws_subnet.public[0].id
}
