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


# Parameters.

def test_the_public_image_is_found_by_its_alias(fast_sim):
    ssm, ec2 = fast_sim.client('ssm'), fast_sim.client('ec2')
    alias = '/aws/service/debian/release/12/latest/amd64'
    parameter = ssm.get_parameter(Name=alias)['Parameter']
    assert parameter['Type'] == 'String' and parameter['ARN'] == f'arn:aws:ssm:us-east-2::parameter{alias}'
    assert ec2.describe_images(ImageIds=[parameter['Value']])['Images'][0]['State'] == 'available'
    below = ssm.get_parameters_by_path(Path='/aws/service/ami-amazon-linux-latest')['Parameters']
    assert {row['Value'] for row in below} == {parameter['Value']} and len(below) == 3
    made = ec2.run_instances(ImageId=f'resolve:ssm:{alias}', MinCount=1, MaxCount=1)['Instances'][0]
    assert made['ImageId'] == parameter['Value']
    ec2.terminate_instances(InstanceIds=[made['InstanceId']])


def test_parameters_of_ones_own(fast_sim):
    ssm = fast_sim.client('ssm')
    assert ssm.put_parameter(Name='/app/web/port', Value='8000', Type='String', Description='where it listens',
                             AllowedPattern='^[0-9]+$', Tags=[{'Key': 'team', 'Value': 'red'}])['Version'] == 1
    ssm.put_parameter(Name='/app/web/hosts', Value='a,b', Type='StringList')
    ssm.put_parameter(Name='/app/name', Value='candidate', Type='String')
    ssm.put_parameter(Name='flat', Value='x', Type='String')
    got = ssm.get_parameter(Name='/app/web/port')['Parameter']
    assert (got['Value'], got['Version'], got['ARN']) == (
        '8000', 1, 'arn:aws:ssm:us-east-2:000000000000:parameter/app/web/port')
    assert refused(lambda: ssm.put_parameter(Name='/app/web/port', Value='1', Type='String'),
                   'ParameterAlreadyExists').startswith('The parameter already exists.')
    refused(lambda: ssm.put_parameter(Name='/app/web/port', Value='http', Overwrite=True),
            'ParameterPatternMismatchException')
    assert ssm.put_parameter(Name='/app/web/port', Value='9000', Overwrite=True)['Version'] == 2
    fast_sim.restart()
    assert ssm.get_parameter(Name='/app/web/port:2')['Parameter']['Selector'] == ':2'
    refused(lambda: ssm.get_parameter(Name='/app/web/port:1'), 'ParameterVersionNotFound')
    both = ssm.get_parameters(Names=['flat', 'none', got['ARN']])
    assert [row['Value'] for row in both['Parameters']] == ['x', '9000'] and both['InvalidParameters'] == ['none']

    def below(path, **more):
        return [row['Name'] for page in ssm.get_paginator('get_parameters_by_path').paginate(
            Path=path, PaginationConfig={'PageSize': 1}, **more) for row in page['Parameters']]
    assert below('/app') == ['/app/name']
    assert below('/app/', Recursive=True) == ['/app/name', '/app/web/hosts', '/app/web/port']
    assert below('/app', Recursive=True, ParameterFilters=[{'Key': 'Type', 'Values': ['StringList']}]) == [
        '/app/web/hosts']
    described = ssm.get_paginator('describe_parameters').paginate(
        ParameterFilters=[{'Key': 'Name', 'Option': 'BeginsWith', 'Values': ['/app']}],
        PaginationConfig={'PageSize': 2})
    assert [row['Name'] for page in described for row in page['Parameters']] == [
        '/app/name', '/app/web/hosts', '/app/web/port']
    [tagged] = ssm.describe_parameters(ParameterFilters=[{'Key': 'tag:team', 'Values': ['red']}])['Parameters']
    assert (tagged['Description'], tagged['Tier'], tagged['Version']) == ('where it listens', 'Standard', 2)
    ssm.add_tags_to_resource(ResourceType='Parameter', ResourceId='flat', Tags=[{'Key': 'a', 'Value': 'b'}])
    assert ssm.list_tags_for_resource(ResourceType='Parameter', ResourceId='flat')['TagList'] == [
        {'Key': 'a', 'Value': 'b'}]
    ssm.remove_tags_from_resource(ResourceType='Parameter', ResourceId='flat', TagKeys=['a'])
    ssm.delete_parameter(Name='flat')
    refused(lambda: ssm.get_parameter(Name='flat'), 'ParameterNotFound')
    gone = ssm.delete_parameters(Names=['/app/name', '/app/web/port', '/app/web/hosts', 'flat'])
    assert len(gone['DeletedParameters']) == 3 and gone['InvalidParameters'] == ['flat']


@pytest.mark.parametrize('arguments, code', [
    ({'Name': 'aws-mine'}, 'ValidationException'),
    ({'Name': '/aws/service/mine'}, 'AccessDeniedException'),
    ({'Name': 'a/b'}, 'ValidationException'),
    ({'Name': '/a//b'}, 'ValidationException'),
    ({'Name': '/a' * 16}, 'HierarchyLevelLimitExceededException'),
    ({'Type': 'SecureString'}, 'UnsupportedParameterType'),
    ({'Value': 'x' * 4097}, 'ValidationException'),
    ({'Value': ''}, 'ValidationException'),
    ({'AllowedPattern': '('}, 'InvalidAllowedPatternException'),
    ({'Tier': 'Advanced'}, 'ValidationException'),
])
def test_bad_parameters_are_not_stored(fast_sim, arguments, code):
    ssm = fast_sim.client('ssm')
    refused(lambda: ssm.put_parameter(**{'Name': 'bad', 'Value': 'x', 'Type': 'String', **arguments}), code)
    assert ssm.describe_parameters()['Parameters'] == []


def test_a_policy_can_name_a_path_of_parameters(fast_sim):
    iam = fast_sim.client('iam')
    iam.create_user(UserName='reader')
    iam.put_user_policy(UserName='reader', PolicyName='p', PolicyDocument=(
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:GetParameter",'
        '"Resource":"arn:aws:ssm:us-east-2:000000000000:parameter/app/*"}]}'))
    key = iam.create_access_key(UserName='reader')['AccessKey']
    theirs = fast_sim.client('ssm', key['AccessKeyId'], key['SecretAccessKey'])
    fast_sim.client('ssm').put_parameter(Name='/app/open', Value='yes', Type='String')
    assert theirs.get_parameter(Name='/app/open')['Parameter']['Value'] == 'yes'
    refused(lambda: theirs.get_parameter(Name='/other/open'), 'AccessDeniedException')
