resource "aws_launch_template" "service" {
  name                   = "${var.name_prefix}-template"
  image_id               = local.image_id
  instance_type          = var.instance_type
  key_name               = var.key_name == "" ? null : var.key_name
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  monitoring {
    enabled = true
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 8
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = true
    security_groups             = [aws_security_group.service.id]
  }

  user_data = base64encode(<<-END
    #!/bin/sh
    # The image is baked for a table of the name Candidates; a generic one has no candidate.
    line=TC_DYNAMO_TABLE=${aws_dynamodb_table.candidates.name}
    if ! grep -qx "$line" /etc/default/candidate; then
        echo "$line" > /etc/default/candidate
        ! systemctl cat candidate > /dev/null 2>&1 || systemctl restart candidate
    fi
  END
  )

  tag_specifications {
    resource_type = "instance"

    tags = {
      Name    = "${var.name_prefix}-instance"
      Project = var.name_prefix
    }
  }
}

# The load balancer.

resource "aws_lb" "service" {
  name               = "${var.name_prefix}-alb"
  load_balancer_type = "application"
  internal           = false
  subnets            = aws_subnet.public[*].id
  security_groups    = [aws_security_group.http.id, aws_security_group.https.id]

  depends_on = [aws_route.internet]
}

resource "aws_lb_target_group" "service" {
  name                 = "${var.name_prefix}-tg"
  vpc_id               = aws_vpc.main.id
  protocol             = "HTTP"
  port                 = 8000
  target_type          = "instance"
  deregistration_delay = 30

  health_check {
    path                = "/gtg"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 3
    unhealthy_threshold = 2
    matcher             = "200,300-310"
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.service.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service.arn
  }
}

# The group, its policies, and the alarms that invoke them.

resource "aws_autoscaling_group" "service" {
  name                      = "${var.name_prefix}-asg"
  min_size                  = var.min_size
  max_size                  = var.max_size
  desired_capacity          = var.desired_capacity
  health_check_type         = "ELB"
  health_check_grace_period = 30
  default_cooldown          = 30
  default_instance_warmup   = 60
  vpc_zone_identifier       = aws_subnet.public[*].id
  target_group_arns         = [aws_lb_target_group.service.arn]
  wait_for_capacity_timeout = "10m"

  launch_template {
    id      = aws_launch_template.service.id
    version = aws_launch_template.service.latest_version
  }

  tag {
    key                 = "Project"
    value               = var.name_prefix
    propagate_at_launch = true
  }

  depends_on = [aws_lb_listener.http, aws_iam_role_policy.table, aws_iam_role_policy_attachment.ssm]
}

resource "aws_autoscaling_policy" "up" {
  name                   = "${var.name_prefix}-scale-up"
  autoscaling_group_name = aws_autoscaling_group.service.name
  policy_type            = "SimpleScaling"
  adjustment_type        = "ChangeInCapacity"
  scaling_adjustment     = 1
  cooldown               = 120
}

resource "aws_autoscaling_policy" "down" {
  name                   = "${var.name_prefix}-scale-down"
  autoscaling_group_name = aws_autoscaling_group.service.name
  policy_type            = "SimpleScaling"
  adjustment_type        = "ChangeInCapacity"
  scaling_adjustment     = -1
  cooldown               = 120
}

resource "aws_cloudwatch_metric_alarm" "cpu_high" {
  alarm_name          = "${var.name_prefix}-cpu-high"
  alarm_description   = "Average CPU above ${var.cpu_high_threshold} % for two periods of 30 s adds an instance"
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  period              = 30
  evaluation_periods  = 2
  threshold           = var.cpu_high_threshold
  comparison_operator = "GreaterThanThreshold"
  alarm_actions       = [aws_autoscaling_policy.up.arn]

  dimensions = {
    AutoScalingGroupName = aws_autoscaling_group.service.name
  }
}

resource "aws_cloudwatch_metric_alarm" "cpu_low" {
  alarm_name          = "${var.name_prefix}-cpu-low"
  alarm_description   = "Average CPU below ${var.cpu_low_threshold} % for ten periods of 30 s removes an instance"
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  period              = 30
  evaluation_periods  = 10
  threshold           = var.cpu_low_threshold
  comparison_operator = "LessThanThreshold"
  alarm_actions       = [aws_autoscaling_policy.down.arn]

  dimensions = {
    AutoScalingGroupName = aws_autoscaling_group.service.name
  }
}

resource "aws_resourcegroups_group" "all" {
  name = "${var.name_prefix}-resources"

  resource_query {
    query = jsonencode({
      ResourceTypeFilters = ["AWS::AllSupported"]
      TagFilters          = [{ Key = "Project", Values = [var.name_prefix] }]
    })
  }
}
