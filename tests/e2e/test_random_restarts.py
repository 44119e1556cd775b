"""Killed after calls at random, musterd tells the same as before, in the same order.

The seed is printed; MUSTER_SEED=N MUSTER_RESTARTS=N repeats a run.
"""
import os
import re

import botocore.exceptions
import pytest

import daemon
from test_random_calls import SERVICES, Caller, known_operations

# What is told of one thing only: by the service, the list that names the things, and where their ids are in it.
OF_EACH = {
    ('autoscaling', 'describe_auto_scaling_groups', 'AutoScalingGroups.AutoScalingGroupName'): [
        'describe_load_balancer_target_groups AutoScalingGroupName'],
    ('cloudformation', 'describe_stacks', 'Stacks.StackId'): [
        'list_stack_resources StackName', 'describe_stack_events StackName', 'get_template StackName', 'list_change_sets StackName'],
    ('cloudwatch', 'describe_alarms', 'MetricAlarms.AlarmArn'): ['list_tags_for_resource ResourceARN'],
    ('dynamodb', 'list_tables', 'TableNames'): ['describe_table TableName', 'scan TableName'],
    ('ec2', 'describe_instances', 'Reservations.Instances.InstanceId'): [
        f'describe_instance_attribute InstanceId Attribute={attribute}' for attribute in (
            'userData', 'disableApiTermination', 'instanceInitiatedShutdownBehavior', 'sourceDestCheck')],
    ('ec2', 'describe_launch_templates', 'LaunchTemplates.LaunchTemplateId'): ['describe_launch_template_versions LaunchTemplateId'],
    ('ec2', 'describe_vpcs', 'Vpcs.VpcId'): [
        f'describe_vpc_attribute VpcId Attribute={attribute}' for attribute in ('enableDnsHostnames', 'enableDnsSupport')],
    ('elbv2', 'describe_load_balancers', 'LoadBalancers.LoadBalancerArn'): [
        'describe_listeners LoadBalancerArn', 'describe_load_balancer_attributes LoadBalancerArn', 'describe_tags ResourceArns[]'],
    ('elbv2', 'describe_target_groups', 'TargetGroups.TargetGroupArn'): [
        'describe_target_group_attributes TargetGroupArn', 'describe_target_health TargetGroupArn', 'describe_tags ResourceArns[]'],
    ('iam', 'list_policies', 'Policies.Arn'): ['list_policy_versions PolicyArn'],
    ('iam', 'list_roles', 'Roles.RoleName'): [
        'get_role RoleName', 'list_role_policies RoleName', 'list_attached_role_policies RoleName'],
    ('iam', 'list_users', 'Users.UserName'): [
        'list_access_keys UserName', 'list_user_policies UserName', 'list_attached_user_policies UserName'],
    ('resource-groups', 'list_groups', 'GroupIdentifiers.GroupName'): ['get_group GroupName', 'get_group_query GroupName'],
    ('ssm', 'describe_parameters', 'Parameters.Name'): ['get_parameter Name'],
}
FRESH = {'DescribeInstanceInformation', 'GetSessionToken'}  # Of the moment when they are asked.


def answer(call, **arguments):
    try:
        told = call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response['Error']
    return {key: value for key, value in told.items() if key != 'ResponseMetadata'}


def all_that_is_told(muster):
    clients = {name: muster.client(name, parameter_validation=False) for name in SERVICES}
    told = {}
    for service, operations in known_operations():
        client = clients[service]
        for method, name in client.meta.method_to_api_mapping.items():
            shape = client.meta.service_model.operation_model(name).input_shape
            if (name in operations - FRESH and re.match('Describe|List|Get', name)
                    and not (shape is not None and shape.required_members)):
                told[service, name] = answer(getattr(client, method))
    for (service, lister, path), questions in OF_EACH.items():
        ids = [getattr(clients[service], lister)()]
        for part in path.split('.'):
            ids = [one for row in ids for one in (row[part] if isinstance(row[part], list) else [row[part]])]
        for question in questions:
            method, member, *more = question.split()
            for one in ids[:30]:
                told[question, one] = answer(
                    getattr(clients[service], method), **{member.rstrip('[]'): [one] if member.endswith('[]') else one},
                    **dict(pair.split('=') for pair in more))
    return told


def at_rest(muster):
    """All that is told, once it no longer changes by itself; alarms are evaluated every three seconds."""
    autoscaling, told = muster.client('autoscaling'), {}
    for group in autoscaling.describe_auto_scaling_groups()['AutoScalingGroups']:  # Else they try again to launch.
        answer(autoscaling.suspend_processes, AutoScalingGroupName=group['AutoScalingGroupName'])

    def same():
        before, now = dict(told), all_that_is_told(muster)
        told.clear()
        told.update(now)
        return before == now and not re.search('draining|WaitingForELB', str(now))
    daemon.wait(same, 'muster to come to rest', timeout=90, every=4)
    return told


def difference(before, after, where=''):
    """The first part that is not the same, and where it is."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        parts = [(key, before[key], after[key]) for key in before]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        parts = [(at, *pair) for at, pair in enumerate(zip(before, after))]
    else:
        parts = []
    for key, one, other in parts:
        if one != other:
            return difference(one, other, f'{where}/{key}')
    return f'{where}: {str(before)[:1500]} != {str(after)[:1500]}'


@pytest.mark.random
def test_a_kill_changes_nothing_that_is_told(tmp_path):
    rounds, seed = int(os.environ.get('MUSTER_RESTARTS', 1)), int(os.environ.get('MUSTER_SEED', 1))
    print(f'MUSTER_SEED={seed} MUSTER_RESTARTS={rounds}')
    for at in range(rounds):  # A new one each time: instances that are over are forgotten after an hour, three minutes here.
        (tmp_path / str(at)).mkdir()
        for muster in daemon.fresh(tmp_path / str(at), ['--compute', 'sim', '--time-scale', '20']):
            caller = Caller(muster, f'{seed}/{at}')
            caller.found()
            for _ in range(800):
                caller.call_any()
            before = at_rest(muster)
            assert len(before) > 100
            after = all_that_is_told(muster.restart())
            other = [difference(before.get(what), after.get(what), str(what))
                     for what in {*before, *after} if before.get(what) != after.get(what)]
            if other:
                pytest.fail(f'round {at}:\n' + '\n'.join(other))
            muster.stop_sound()
