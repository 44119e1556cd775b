"""Systems Manager's Run Command through AWS's own client, on the sim driver."""
import pytest
from botocore.exceptions import ClientError

from daemon import wait

TRUST = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},'
         '"Action":"sts:AssumeRole"}]}')


def make_profile(muster, name):
    """An instance profile whose role lets the agent talk."""
    iam = muster.client('iam')
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName=name,
                           PolicyArn='arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore')
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def run(muster, count=1, profile='managed', **tags):
    ec2 = muster.client('ec2')
    arguments = {'IamInstanceProfile': {'Name': profile}} if profile else {}
    if tags:
        arguments['TagSpecifications'] = [{'ResourceType': 'instance', 'Tags': [
            {'Key': key, 'Value': value} for key, value in tags.items()]}]
    image = ec2.describe_images()['Images'][0]['ImageId']
    made = ec2.run_instances(ImageId=image, InstanceType='t2.micro', MinCount=count, MaxCount=count,
                             **arguments)['Instances']
    return [i['InstanceId'] for i in made]


def managed(muster, ids):
    """Wait until all of them are managed nodes."""
    ssm = muster.client('ssm')

    def known():
        nodes = ssm.describe_instance_information(
            Filters=[{'Key': 'InstanceIds', 'Values': ids}])['InstanceInformationList']
        return nodes if len(nodes) == len(ids) else None
    return wait(known, 'managed nodes')


@pytest.fixture(scope='module')
def nodes(fast_sim):
    make_profile(fast_sim, 'managed')
    ids = run(fast_sim, 2, Name='web')
    managed(fast_sim, ids)
    return ids


def send(muster, nodes, *commands, **arguments):
    parameters = {'commands': list(commands), **arguments.pop('Parameters', {})}
    target = {'InstanceIds': nodes} if nodes else {}
    return muster.client('ssm').send_command(DocumentName='AWS-RunShellScript', Parameters=parameters,
                                             **target, **arguments)['Command']


def result(muster, command, instance):
    ssm = muster.client('ssm')

    def over():
        got = ssm.get_command_invocation(CommandId=command['CommandId'], InstanceId=instance)
        return got if got['Status'] not in ('Pending', 'InProgress', 'Cancelling') else None
    return wait(over, 'the command to end')


def refused(call, code):
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response['Error']['Code'] == code
    return caught.value.response['Error'].get('Message', '')


def test_an_instance_with_the_policy_is_a_managed_node(fast_sim, nodes):
    node = managed(fast_sim, nodes[:1])[0]
    assert node['PingStatus'] == 'Online'
    assert node['PlatformType'] == 'Linux' and node['ResourceType'] == 'EC2Instance'


def test_a_command_runs_on_each_instance(fast_sim, nodes):
    command = send(fast_sim, nodes, 'true', Comment='nothing')
    assert command['Status'] == 'Pending'
    assert command['InstanceIds'] == nodes and command['TargetCount'] == 2
    for node in nodes:
        got = result(fast_sim, command, node)
        assert (got['Status'], got['ResponseCode']) == ('Success', 0)
        assert got['PluginName'] == 'aws:runShellScript'
        assert got['ExecutionElapsedTime'].startswith('PT')
    ssm = fast_sim.client('ssm')
    listed = ssm.list_commands(CommandId=command['CommandId'])['Commands'][0]
    assert listed['Status'] == 'Success' and listed['CompletedCount'] == 2
    invocations = ssm.list_command_invocations(CommandId=command['CommandId'],
                                               Details=True)['CommandInvocations']
    assert {i['InstanceId'] for i in invocations} == set(nodes)
    assert all(i['InstanceName'] == 'web' for i in invocations)
    assert invocations[0]['CommandPlugins'][0]['ResponseCode'] == 0


def test_targets_choose_by_tag(fast_sim, nodes):
    command = send(fast_sim, None, 'true', Targets=[{'Key': 'tag:Name', 'Values': ['web']}])
    assert command['TargetCount'] == 2 and command['InstanceIds'] == []
    nobody = send(fast_sim, None, 'true', Targets=[{'Key': 'tag:Name', 'Values': ['nobody']}])
    assert nobody['StatusDetails'] == 'NoInstancesInTag'


def test_newest_first_a_page_at_a_time(fast_sim, nodes):
    sent = [send(fast_sim, nodes[:1], 'true')['CommandId'] for _ in range(3)]
    pages = fast_sim.client('ssm').get_paginator('list_commands').paginate(
        InstanceId=nodes[0], PaginationConfig={'PageSize': 1, 'MaxItems': 3})
    assert [c['CommandId'] for page in pages for c in page['Commands']] == sent[::-1]


def test_a_command_can_be_cancelled(fast_sim, nodes):
    command = send(fast_sim, nodes, 'stress --cpu 1 --timeout 2s', MaxConcurrency='1')
    fast_sim.client('ssm').cancel_command(CommandId=command['CommandId'])
    for node in nodes:
        assert result(fast_sim, command, node)['Status'] == 'Cancelled'


def test_an_instance_without_the_policy_gets_no_commands(fast_sim, nodes):
    bare = run(fast_sim, 1, profile=None)
    said = refused(lambda: send(fast_sim, bare, 'true'), 'InvalidInstanceId')
    assert said == f'Instances [[{bare[0]}]] not in a valid state for account 000000000000'


@pytest.mark.parametrize('arguments, code', [
    ({'DocumentName': 'AWS-RunPowerShellScript'}, 'InvalidDocument'),
    ({'Parameters': {}}, 'InvalidParameters'),
    ({'Parameters': {'commands': ['true'], 'colour': ['red']}}, 'InvalidParameters'),
    ({'Parameters': {'commands': ['true'], 'executionTimeout': ['soon']}}, 'InvalidParameters'),
    ({'Parameters': {'commands': ['x' * 70000]}}, 'MaxDocumentSizeExceeded'),
    ({'OutputS3BucketName': 'bucket'}, 'InvalidOutputFolder'),
    ({'TimeoutSeconds': 5}, 'ValidationException'),
    ({'MaxConcurrency': 'many'}, 'ValidationException'),
    ({'Targets': [{'Key': 'tag:Name', 'Values': ['web']}]}, 'ValidationException'),
])
def test_bad_requests_change_nothing(fast_sim, nodes, arguments, code):
    ssm = fast_sim.client('ssm', parameter_validation=False)
    before = ssm.list_commands()['Commands']
    request = {'DocumentName': 'AWS-RunShellScript', 'Parameters': {'commands': ['true']},
               'InstanceIds': nodes, **arguments}
    refused(lambda: ssm.send_command(**request), code)
    assert ssm.list_commands()['Commands'] == before


def test_unknown_commands(fast_sim, nodes):
    ssm = fast_sim.client('ssm')
    nothing = '00000000-0000-0000-0000-000000000000'
    refused(lambda: ssm.get_command_invocation(CommandId=nothing, InstanceId=nodes[0]),
            'InvocationDoesNotExist')
    refused(lambda: ssm.list_commands(CommandId=nothing), 'InvalidCommandId')
    refused(lambda: ssm.cancel_command(CommandId=nothing), 'InvalidCommandId')
