"""CloudFormation as `aws cloudformation deploy` uses it: change sets, updates, rollback, the end."""
import json
import time

import botocore.exceptions
import pytest

import daemon
from stack import BASE_IMAGE, TEMPLATE

QUEUE = {'Resources': {
    'Vpc': {'Type': 'AWS::EC2::VPC', 'Properties': {'CidrBlock': {'Ref': 'Range'}}},
    'Subnet': {'Type': 'AWS::EC2::Subnet', 'Properties': {
        'VpcId': {'Ref': 'Vpc'}, 'CidrBlock': '10.9.0.0/26', 'Tags': [{'Key': 'Name', 'Value': {'Ref': 'Called'}}]}},
    'Spare': {'Type': 'AWS::DynamoDB::Table', 'Condition': 'WithSpare', 'Properties': {
        'TableName': 'Spare', 'BillingMode': 'PAY_PER_REQUEST',
        'AttributeDefinitions': [{'AttributeName': 'K', 'AttributeType': 'S'}],
        'KeySchema': [{'AttributeName': 'K', 'KeyType': 'HASH'}]}}},
    'Parameters': {'Called': {'Type': 'String', 'Default': 'first'}, 'Secret': {'Type': 'String', 'NoEcho': True},
                   'Range': {'Type': 'String', 'Default': '10.9.0.0/24'},
                   'Spares': {'Type': 'String', 'Default': 'no', 'AllowedValues': ['yes', 'no']}},
    'Conditions': {'WithSpare': {'Fn::Equals': [{'Ref': 'Spares'}, 'yes']}},
    'Outputs': {'Vpc': {'Value': {'Ref': 'Vpc'}}}}


@pytest.fixture(scope='module')
def cloudformation(fast_sim):
    return fast_sim.client('cloudformation')


def deploy(muster, name, *arguments, template=TEMPLATE):
    """`aws cloudformation deploy`: (exit status, what it said)."""
    second = int(time.time())  # The CLI names its change sets by the second: two never share one.
    daemon.wait(lambda: int(time.time()) != second, 'the next second', every=0.02)
    [(code, output, errors)] = muster.aws_all([
        ['cloudformation', 'deploy', '--stack-name', name, '--template-file', template, '--capabilities',
         'CAPABILITY_NAMED_IAM', *arguments]])
    return code, output + errors


def status(cloudformation, name):
    return cloudformation.describe_stacks(StackName=name)['Stacks'][0]['StackStatus']


def change_set(cloudformation, stack, name, body, kind='UPDATE', **values):
    cloudformation.create_change_set(
        StackName=stack, ChangeSetName=name, ChangeSetType=kind, TemplateBody=json.dumps(body),
        Parameters=[{'ParameterKey': key, 'ParameterValue': value} for key, value in
                    {'Secret': 's', **values}.items()])
    return cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)


def refused(call, code, text, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response['Error']['Code'] == code
    assert text in caught.value.response['Error']['Message']


@pytest.mark.clients
def test_the_cli_deploys_updates_rolls_back_and_deletes(fast_sim, cloudformation):
    values = ['--parameter-overrides', f'ImageId={BASE_IMAGE}', 'MinSize=0', 'DesiredCapacity=0']
    code, said = deploy(fast_sim, 'stack', *values, '--tags', 'team=red')
    assert code == 0 and 'Successfully created/updated stack - stack' in said, said
    [shown] = cloudformation.describe_stacks(StackName='stack')['Stacks']
    assert shown['StackStatus'] == 'CREATE_COMPLETE' and shown['Tags'] == [{'Key': 'team', 'Value': 'red'}]
    assert ':changeSet/awscli-cloudformation-package-deploy' in shown['ChangeSetId']
    group = {row['OutputKey']: row['OutputValue'] for row in shown['Outputs']}
    assert group

    code, said = deploy(fast_sim, 'stack', '--tags', 'team=red')  # The values are those of before.
    assert 'No changes to deploy. Stack stack is up to date' in said and code in (0, 255), said
    code, said = deploy(fast_sim, 'stack', '--parameter-overrides', 'MaxSize=3')
    assert code == 0, said
    assert status(cloudformation, 'stack') == 'UPDATE_COMPLETE'
    groups = fast_sim.client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups']
    assert [row['MaxSize'] for row in groups] == [3]

    code, said = deploy(fast_sim, 'stack', '--parameter-overrides', 'MaxSize=2', '--no-execute-changeset')
    assert code == 0 and 'aws cloudformation describe-change-set --change-set-name arn:' in said, said
    [waiting] = [row for row in cloudformation.list_change_sets(StackName='stack')['Summaries']
                 if row['ExecutionStatus'] == 'AVAILABLE']
    assert [row['ResourceChange']['LogicalResourceId'] for row in cloudformation.describe_change_set(
        ChangeSetName=waiting['ChangeSetId'])['Changes']] == ['AutoScalingGroup']

    # A maximum below the minimum: the group says no, all is as it was.
    code, said = deploy(fast_sim, 'stack', '--parameter-overrides', 'MaxSize=0', 'MinSize=1')
    assert code != 0 and 'Failed to create/update the stack' in said, said
    daemon.wait(lambda: status(cloudformation, 'stack') == 'UPDATE_ROLLBACK_COMPLETE', 'the rollback')
    groups = fast_sim.client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups']
    assert [(row['MinSize'], row['MaxSize']) for row in groups] == [(0, 3)]
    reasons = [event.get('ResourceStatusReason', '') for event in
               cloudformation.describe_stack_events(StackName='stack')['StackEvents']]
    assert any('failed to update: [' in reason for reason in reasons)

    identity = shown['StackId']
    fast_sim.aws('cloudformation', 'delete-stack', '--stack-name', 'stack')
    cloudformation.get_waiter('stack_delete_complete').wait(
        StackName=identity, WaiterConfig={'Delay': 0.2, 'MaxAttempts': 100})
    assert fast_sim.client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups'] == []
    refused(cloudformation.describe_stacks, 'ValidationError', 'does not exist', StackName='stack')
    assert status(cloudformation, identity) == 'DELETE_COMPLETE'


def test_a_change_set_tells_what_it_would_do(cloudformation):
    seen = change_set(cloudformation, 'told', 'new', QUEUE, 'CREATE')
    assert (seen['Status'], seen['ExecutionStatus']) == ('CREATE_COMPLETE', 'AVAILABLE')
    assert [(row['ResourceChange']['Action'], row['ResourceChange']['LogicalResourceId']) for row in seen['Changes']] \
        == [('Add', 'Vpc'), ('Add', 'Subnet')]
    assert {'ParameterKey': 'Secret', 'ParameterValue': '****'} in seen['Parameters']
    assert status(cloudformation, 'told') == 'REVIEW_IN_PROGRESS'
    assert [row['ChangeSetName'] for row in cloudformation.list_change_sets(StackName='told')['Summaries']] == ['new']
    cloudformation.execute_change_set(ChangeSetName=seen['ChangeSetId'])
    cloudformation.get_waiter('stack_create_complete').wait(
        StackName='told', WaiterConfig={'Delay': 0.2, 'MaxAttempts': 100})
    assert cloudformation.describe_change_set(ChangeSetName=seen['ChangeSetId'])['ExecutionStatus'] == 'EXECUTE_COMPLETE'

    same = change_set(cloudformation, 'told', 'same', QUEUE)
    assert same['Status'] == 'FAILED' and same['StatusReason'].startswith("The submitted information didn't contain")
    refused(cloudformation.execute_change_set, 'InvalidChangeSetStatus', '[FAILED]', StackName='told',
            ChangeSetName='same')

    tag = change_set(cloudformation, 'told', 'tag', QUEUE, Called='second')
    [change] = [row['ResourceChange'] for row in tag['Changes']]
    assert (change['LogicalResourceId'], change['Action'], change['Replacement'], change['Scope']) == (
        'Subnet', 'Modify', 'False', ['Tags'])
    assert change['Details'] == [{'Target': {'Attribute': 'Tags', 'RequiresRecreation': 'Never'},
                                  'Evaluation': 'Static', 'ChangeSource': 'ParameterReference',
                                  'CausingEntity': 'Called'}]
    moved = change_set(cloudformation, 'told', 'moved', QUEUE, Range='10.9.0.0/25', Spares='yes')
    told = {row['ResourceChange']['LogicalResourceId']: row['ResourceChange'] for row in moved['Changes']}
    assert told['Vpc']['Replacement'] == 'True' and told['Spare']['Action'] == 'Add'
    assert told['Subnet']['Replacement'] == 'Conditional'
    assert told['Subnet']['Details'][0]['CausingEntity'] == 'Vpc'
    assert told['Subnet']['Details'][0]['ChangeSource'] == 'ResourceReference'
    # Nothing of this has happened; deleting twice is as good as once.
    assert status(cloudformation, 'told') == 'CREATE_COMPLETE'
    for _ in range(2):
        cloudformation.delete_change_set(StackName='told', ChangeSetName='tag')
    refused(cloudformation.describe_change_set, 'ChangeSetNotFound', 'tag', StackName='told', ChangeSetName='tag')


def test_a_stack_that_was_only_looked_at_goes(cloudformation):
    first = change_set(cloudformation, 'looked', 'one', QUEUE, 'CREATE')['ChangeSetId']
    change_set(cloudformation, 'looked', 'two', QUEUE, 'CREATE', Called='two')
    refused(cloudformation.create_stack, 'AlreadyExistsException', 'already exists', StackName='looked',
            TemplateBody=json.dumps(QUEUE))
    refused(cloudformation.update_stack, 'ValidationError', 'is in REVIEW_IN_PROGRESS state', StackName='looked',
            TemplateBody=json.dumps(QUEUE))
    refused(cloudformation.get_template, 'ValidationError', 'no template yet', StackName='looked')
    cloudformation.delete_stack(StackName='looked')
    daemon.wait(lambda: 'looked' not in [row['StackName'] for row in cloudformation.describe_stacks()['Stacks']],
                'its end')
    refused(cloudformation.describe_change_set, 'ChangeSetNotFound', 'does not exist', ChangeSetName=first)


def test_a_condition_that_ends_takes_its_resource_along(fast_sim, cloudformation):
    def update(spares):
        cloudformation.update_stack(StackName='told', UsePreviousTemplate=True, Parameters=[
            {'ParameterKey': 'Spares', 'ParameterValue': spares}, {'ParameterKey': 'Secret', 'UsePreviousValue': True}])
        cloudformation.get_waiter('stack_update_complete').wait(
            StackName='told', WaiterConfig={'Delay': 0.2, 'MaxAttempts': 100})
        return fast_sim.client('dynamodb').list_tables()['TableNames']
    assert update('yes') == ['Spare']
    assert cloudformation.list_change_sets(StackName='told')['Summaries'] == []  # They were about what was.
    assert update('no') == []


GATEWAY = {'Type': 'AWS::EC2::InternetGateway', 'Properties': {'Tags': [{'Key': 'a', 'Value': 'b'}]}}
OUTSIDE = {'Type': 'AWS::EC2::Subnet', 'Properties': {'VpcId': {'Ref': 'Vpc'}, 'CidrBlock': '192.168.0.0/24'}}
VPC = {'Type': 'AWS::EC2::VPC', 'Properties': {'CidrBlock': '10.8.0.0/24'}}


def settles(cloudformation, name, wanted):
    daemon.wait(lambda: not status(cloudformation, name).endswith('_IN_PROGRESS'), f'{name} to settle', every=0.05)
    assert status(cloudformation, name) == wanted


def template(**resources):
    return {'TemplateBody': json.dumps({'Resources': resources})}


def test_the_stacks_tags_are_on_its_resources(fast_sim, cloudformation):
    tables, groups = fast_sim.client('dynamodb'), fast_sim.client('autoscaling')
    table = json.loads(json.dumps(QUEUE['Resources']['Spare']))
    del table['Condition']
    table['Properties'].update(TableName='Tagged', Tags=[{'Key': 7, 'Value': True}, {'Key': 'team', 'Value': 'mine'}])
    group = {'Type': 'AWS::AutoScaling::AutoScalingGroup', 'Properties': {
        'AutoScalingGroupName': 'tagged', 'MinSize': '0', 'MaxSize': '0', 'AvailabilityZones': ['us-east-2a'],
        'LaunchTemplate': {'LaunchTemplateId': {'Ref': 'Template'}, 'Version': '1'}}}
    launch = {'Type': 'AWS::EC2::LaunchTemplate', 'Properties': {'LaunchTemplateData': {'ImageId': BASE_IMAGE}}}
    role = {'Type': 'AWS::IAM::Role', 'Properties': {'Description': 'a', 'AssumeRolePolicyDocument': {
        'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'},
                                                'Action': 'sts:AssumeRole'}]}}}
    made = {**template(Table=table, Group=group, Template=launch, Gateway=GATEWAY, Role=role),
            'Capabilities': ['CAPABILITY_IAM']}

    def tags():
        arn = tables.describe_table(TableName='Tagged')['Table']['TableArn']
        own = {row['Key']: row['Value'] for row in tables.list_tags_of_resource(ResourceArn=arn)['Tags']
               if not row['Key'].startswith('aws:')}
        return own, {row['Key']: (row['Value'], row['PropagateAtLaunch']) for row in groups.describe_tags(
            Filters=[{'Name': 'auto-scaling-group', 'Values': ['tagged']}])['Tags'] if not row['Key'].startswith('aws:')}
    cloudformation.create_stack(StackName='tags', Tags=[{'Key': 'team', 'Value': 'red'}, {'Key': 'x', 'Value': 'y'}],
                                **made)
    settles(cloudformation, 'tags', 'CREATE_COMPLETE')
    assert tags() == ({'7': 'true', 'team': 'mine', 'x': 'y'}, {'team': ('red', True), 'x': ('y', True)})
    change = {'StackName': 'tags', 'Tags': [{'Key': 'team', 'Value': 'blue'}]}
    cloudformation.create_change_set(ChangeSetName='c', **change, **made)
    seen = {row['ResourceChange']['LogicalResourceId']: row['ResourceChange'] for row in
            cloudformation.describe_change_set(StackName='tags', ChangeSetName='c')['Changes']}
    assert set(seen) == {'Table', 'Group', 'Gateway', 'Role'}
    assert all((row['Scope'], row['Replacement']) == (['Tags'], 'False') for row in seen.values())
    cloudformation.update_stack(**change, **made)
    settles(cloudformation, 'tags', 'UPDATE_COMPLETE')
    assert tags() == ({'7': 'true', 'team': 'mine'}, {'team': ('blue', True)})
    table['Properties']['Tags'] = []
    role['Properties'].update(Description='b', MaxSessionDuration=7200, Tags=[{'Key': 'own', 'Value': '2'}])
    cloudformation.update_stack(StackName='tags', Tags=[], Capabilities=['CAPABILITY_IAM'], **template(
        Table=table, Group=group, Template=launch, Gateway=GATEWAY, Role=role))
    settles(cloudformation, 'tags', 'UPDATE_COMPLETE')
    assert tags() == ({}, {})
    [shown] = [row for row in fast_sim.client('iam').list_roles()['Roles'] if row['RoleName'].startswith('tags-')]
    shown = fast_sim.client('iam').get_role(RoleName=shown['RoleName'])['Role']
    assert (shown['Description'], shown['MaxSessionDuration'], shown['Tags']) == (
        'b', 7200, [{'Key': 'own', 'Value': '2'}])
    cloudformation.delete_stack(StackName='tags')
    daemon.wait(lambda: 'Tagged' not in tables.list_tables()['TableNames'], 'its end')


def test_an_update_can_be_called_off(fast_sim, cloudformation):
    cloudformation.create_stack(StackName='off', **template(Gateway=GATEWAY))
    settles(cloudformation, 'off', 'CREATE_COMPLETE')
    refused(cloudformation.cancel_update_stack, 'ValidationError', 'cannot be called from current stack status',
            StackName='off')
    table = json.loads(json.dumps(QUEUE['Resources']['Spare']))
    del table['Condition']
    cloudformation.update_stack(StackName='off', **template(Gateway=GATEWAY, Table=table))
    cloudformation.cancel_update_stack(StackName='off')
    settles(cloudformation, 'off', 'UPDATE_ROLLBACK_COMPLETE')
    assert fast_sim.client('dynamodb').list_tables()['TableNames'] == []
    assert [row['LogicalResourceId'] for row in
            cloudformation.list_stack_resources(StackName='off')['StackResourceSummaries']] == ['Gateway']


def test_what_failed_and_stayed_can_be_rolled_back(cloudformation):
    cloudformation.create_stack(StackName='stays', DisableRollback=True, **template(Vpc=VPC, Subnet=OUTSIDE))
    settles(cloudformation, 'stays', 'CREATE_FAILED')
    cloudformation.rollback_stack(StackName='stays')
    settles(cloudformation, 'stays', 'ROLLBACK_COMPLETE')
    refused(cloudformation.rollback_stack, 'ValidationError', 'can not be rolled back', StackName='stays')
    for name in ('once', 'twice'):
        if name == 'once':
            cloudformation.create_stack(StackName='fails', **template(Vpc=VPC))
            settles(cloudformation, 'fails', 'CREATE_COMPLETE')
        cloudformation.update_stack(StackName='fails', DisableRollback=True,
                                    **template(Vpc=VPC, Subnet=OUTSIDE, **{name: GATEWAY}))
        settles(cloudformation, 'fails', 'UPDATE_FAILED')
    cloudformation.rollback_stack(StackName='fails')
    settles(cloudformation, 'fails', 'UPDATE_ROLLBACK_COMPLETE')
    assert [row['LogicalResourceId'] for row in
            cloudformation.list_stack_resources(StackName='fails')['StackResourceSummaries']] == ['Vpc']


def test_what_a_rollback_deleted_is_not_deleted_again(fast_sim, cloudformation):
    """Its name may be another's by then."""
    dynamodb = fast_sim.client('dynamodb')
    table = {'TableName': 'reborn', 'BillingMode': 'PAY_PER_REQUEST',
             'KeySchema': [{'AttributeName': 'p', 'KeyType': 'HASH'}],
             'AttributeDefinitions': [{'AttributeName': 'p', 'AttributeType': 'S'}]}
    cloudformation.create_stack(StackName='reborn', TemplateBody=json.dumps({'Resources': {
        'Table': {'Type': 'AWS::DynamoDB::Table', 'Properties': table},
        'Fails': {'Type': 'AWS::EC2::VPC', 'DependsOn': 'Table', 'Properties': {'CidrBlock': '10.0.0.0/8'}}}}))
    settles(cloudformation, 'reborn', 'ROLLBACK_COMPLETE')
    daemon.wait(lambda: 'reborn' not in dynamodb.list_tables()['TableNames'], 'the table to go')
    dynamodb.create_table(**table)
    dynamodb.get_waiter('table_exists').wait(TableName='reborn', WaiterConfig={'Delay': 1})
    cloudformation.delete_stack(StackName='reborn')
    daemon.wait(lambda: 'reborn' not in [row['StackName'] for row in cloudformation.describe_stacks()['Stacks']],
                'its end')
    assert dynamodb.describe_table(TableName='reborn')['Table']['TableStatus'] == 'ACTIVE'
    dynamodb.delete_table(TableName='reborn')


def test_what_is_no_resource_is_refused_and_what_failed_half_made_goes(fast_sim, cloudformation):
    refused(cloudformation.create_stack, 'ValidationError', 'must contain a Type member', StackName='none',
            **template(Empty={'Type': ''}))
    trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'sts:AssumeRole',
                                                     'Principal': {'Service': 'ec2.amazonaws.com'}}]}
    for name, properties in (('inline', {'Policies': [{'PolicyName': ''}, {}]}), ('managed', {
            'ManagedPolicyArns': ['arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess', 'arn:aws:iam::aws:policy/None', 7]})):
        cloudformation.create_stack(StackName=name, Capabilities=['CAPABILITY_IAM'], **template(
            Role={'Type': 'AWS::IAM::Role', 'Properties': {'AssumeRolePolicyDocument': trust, **properties}}))
        settles(cloudformation, name, 'ROLLBACK_COMPLETE')
    assert fast_sim.client('iam').list_roles()['Roles'] == []


def test_a_bad_rule_of_a_security_group_is_rolled_back(fast_sim, cloudformation):
    def group(*ports):
        return template(Vpc=VPC, Group={'Type': 'AWS::EC2::SecurityGroup', 'Properties': {
            'GroupDescription': 'd', 'VpcId': {'Ref': 'Vpc'}, 'SecurityGroupIngress': [
                {'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'CidrIp': '10.0.0.0/8'} for port in ports]}})
    cloudformation.create_stack(StackName='rules', **group(80, 81))
    settles(cloudformation, 'rules', 'CREATE_COMPLETE')
    id = cloudformation.describe_stack_resource(
        StackName='rules', LogicalResourceId='Group')['StackResourceDetail']['PhysicalResourceId']
    for bad in ((82, 99999), (99999, 82), (80, 'http'), ('http',)):
        cloudformation.update_stack(StackName='rules', **group(*bad))
        settles(cloudformation, 'rules', 'UPDATE_ROLLBACK_COMPLETE')
        [found] = fast_sim.client('ec2').describe_security_groups(GroupIds=[id])['SecurityGroups']
        assert sorted(rule['FromPort'] for rule in found['IpPermissions']) == [80, 81], bad
    cloudformation.delete_stack(StackName='rules')


def test_a_rollback_that_failed_goes_on_without_what_holds_it(fast_sim, cloudformation):
    cloudformation.create_stack(StackName='holds', **template(Gateway=GATEWAY, Vpc=VPC))
    settles(cloudformation, 'holds', 'CREATE_COMPLETE')
    gateway = cloudformation.describe_stack_resource(
        StackName='holds', LogicalResourceId='Gateway')['StackResourceDetail']['PhysicalResourceId']
    fast_sim.client('ec2').delete_internet_gateway(InternetGatewayId=gateway)  # Behind the stack's back.
    other = {**GATEWAY, 'Properties': {'Tags': [{'Key': 'a', 'Value': 'c'}]}}
    cloudformation.update_stack(StackName='holds', **template(Gateway=other, Vpc=VPC))
    settles(cloudformation, 'holds', 'UPDATE_ROLLBACK_FAILED')
    refused(cloudformation.continue_update_rollback, 'ValidationError', 'not in state UPDATE_FAILED: [Vpc]',
            StackName='holds', ResourcesToSkip=['Vpc'])
    cloudformation.continue_update_rollback(StackName='holds')
    settles(cloudformation, 'holds', 'UPDATE_ROLLBACK_FAILED')
    cloudformation.continue_update_rollback(StackName='holds', ResourcesToSkip=['Gateway'])
    settles(cloudformation, 'holds', 'UPDATE_ROLLBACK_COMPLETE')
    cloudformation.delete_stack(StackName='holds')
    daemon.wait(lambda: 'holds' not in [row['StackName'] for row in cloudformation.describe_stacks()['Stacks']],
                'its end')


def table(name, **properties):
    return {'Type': 'AWS::DynamoDB::Table', 'Properties': {
        'TableName': name, 'BillingMode': 'PAY_PER_REQUEST', 'KeySchema': [{'AttributeName': 'K', 'KeyType': 'HASH'}],
        'AttributeDefinitions': [{'AttributeName': 'K', 'AttributeType': 'S'}], **properties}}


def tables(muster):
    return muster.client('dynamodb').list_tables()['TableNames']


def ends(cloudformation, name):
    cloudformation.delete_stack(StackName=name)
    daemon.wait(lambda: name not in [row['StackName'] for row in cloudformation.describe_stacks()['Stacks']], f'{name} to go',
                every=0.05)


def test_a_rollback_waits_for_what_it_called_off(sim):
    """The table is still being updated, at real time for a second, when the subnet has failed."""
    cloudformation, dynamodb = sim.client('cloudformation'), sim.client('dynamodb')
    cloudformation.create_stack(StackName='waits', **template(Table=table('Waits'), Vpc=VPC))
    settles(cloudformation, 'waits', 'CREATE_COMPLETE')
    units = {'ReadCapacityUnits': 5, 'WriteCapacityUnits': 5}
    cloudformation.update_stack(StackName='waits', **template(Vpc=VPC, Subnet={**OUTSIDE, 'DependsOn': 'Vpc'}, Table=table(
        'Waits', BillingMode='PROVISIONED', ProvisionedThroughput=units)))
    settles(cloudformation, 'waits', 'UPDATE_ROLLBACK_COMPLETE')
    assert dynamodb.describe_table(TableName='Waits')['Table']['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST'
    ends(cloudformation, 'waits')


def test_a_rollback_brings_tags_back_and_unties_what_was_bad(fast_sim, cloudformation):
    def made(*tags, **more):
        return {'Tags': [{'Key': 'team', 'Value': 'red' if not more else 'blue'}],
                **template(Vpc=VPC, Table=table('Tied', Tags=[{'Key': key, 'Value': 'v'} for key in tags]), **more)}
    cloudformation.create_stack(StackName='tied', **made('own'))
    settles(cloudformation, 'tied', 'CREATE_COMPLETE')
    for tags in (('own', 'x' * 200), ('other', ''), ('more',)):
        cloudformation.update_stack(StackName='tied', **made(*tags, Subnet=OUTSIDE))
        settles(cloudformation, 'tied', 'UPDATE_ROLLBACK_COMPLETE')
        arn = fast_sim.client('dynamodb').describe_table(TableName='Tied')['Table']['TableArn']
        assert {row['Key']: row['Value'] for row in fast_sim.client('dynamodb').list_tags_of_resource(ResourceArn=arn)['Tags']
                if not row['Key'].startswith('aws:')} == {'own': 'v', 'team': 'red'}
        assert cloudformation.describe_stacks(StackName='tied')['Stacks'][0]['Tags'] == [{'Key': 'team', 'Value': 'red'}]
    ends(cloudformation, 'tied')


def test_policies_of_deletion(fast_sim, cloudformation):
    """What is retained: at the stack's end, when replaced, and when a rollback undoes what made it."""
    kept, careful = {'DeletionPolicy': 'Retain'}, {'DeletionPolicy': 'RetainExceptOnCreate'}
    both = {'Kept': {**table('kept'), **kept}, 'Careful': {**table('careful'), **careful}}
    cloudformation.create_stack(StackName='keeps', **template(Vpc=VPC, Fails={**OUTSIDE, 'DependsOn': ['Kept', 'Careful']}, **both))
    settles(cloudformation, 'keeps', 'ROLLBACK_COMPLETE')
    daemon.wait(lambda: tables(fast_sim) == ['kept'], 'the other table to go')
    ends(cloudformation, 'keeps')
    fast_sim.client('dynamodb').delete_table(TableName='kept')
    daemon.wait(lambda: tables(fast_sim) == [], 'the table to go')

    cloudformation.create_stack(StackName='keeps', **template(Vpc=VPC, Gone={
        **table('first'), 'UpdateReplacePolicy': 'Retain'}, Plain=table('plain'), **both))
    settles(cloudformation, 'keeps', 'CREATE_COMPLETE')
    cloudformation.update_stack(StackName='keeps', **template(Vpc=VPC, Gone={
        **table('second'), 'UpdateReplacePolicy': 'Retain'}, Plain=table('simple'), **both))
    settles(cloudformation, 'keeps', 'UPDATE_COMPLETE')
    daemon.wait(lambda: tables(fast_sim) == ['careful', 'first', 'kept', 'second', 'simple'], 'the plain table to go')
    events = [(row['LogicalResourceId'], row['PhysicalResourceId'], row['ResourceStatus']) for row in
              cloudformation.describe_stack_events(StackName='keeps')['StackEvents']
              if row['ResourceStatus'].startswith('DELETE')]
    assert events == [('Plain', 'plain', 'DELETE_COMPLETE'), ('Plain', 'plain', 'DELETE_IN_PROGRESS'),
                      ('Gone', 'first', 'DELETE_SKIPPED')]
    ends(cloudformation, 'keeps')
    daemon.wait(lambda: tables(fast_sim) == ['careful', 'first', 'kept'], 'what is not kept to go')
    for name in tables(fast_sim):
        fast_sim.client('dynamodb').delete_table(TableName=name)

    for attribute, value, says in (
            ('DeletionPolicy', 'Keep', 'Template format error: Unrecognized DeletionPolicy Keep for resource Vpc'),
            ('UpdateReplacePolicy', 'RetainExceptOnCreate',
             'Template format error: Unrecognized UpdateReplacePolicy RetainExceptOnCreate for resource Vpc'),
            ('DeletionPolicy', {'Ref': 'AWS::Region'}, 'Template format error: Every DeletionPolicy member must be a string.'),
            ('UpdatePolicy', {}, 'muster does not offer UpdatePolicy and CreationPolicy: resource Vpc'),
            ('DeletionPolicy', 'Snapshot', 'Template error: resource type AWS::EC2::VPC does not support deletion policy Snapshot')):
        refused(cloudformation.create_stack, 'ValidationError', says, StackName='none',
                **template(Vpc={**VPC, attribute: value}))


@pytest.mark.clients
@pytest.mark.skipif(not daemon.NEWER, reason='boto3 does not know the parameter yet')
def test_a_rollback_can_take_all_that_is_new(fast_sim, cloudformation):
    cloudformation.create_stack(StackName='new', RetainExceptOnCreate=True, **template(
        Vpc=VPC, Fails={**OUTSIDE, 'DependsOn': 'Kept'}, Kept={**table('new'), 'DeletionPolicy': 'Retain'}))
    settles(cloudformation, 'new', 'ROLLBACK_COMPLETE')
    daemon.wait(lambda: tables(fast_sim) == [], 'the table to go')
    ends(cloudformation, 'new')


def test_what_a_type_does_not_have_fails_and_what_is_anothers_stays(fast_sim, cloudformation):
    alarm = {'Type': 'AWS::CloudWatch::Alarm', 'Properties': {
        'AlarmName': 'theirs', 'Namespace': 'N', 'MetricName': 'M', 'Statistic': 'Sum', 'Period': 60, 'EvaluationPeriods': 1,
        'Threshold': 5, 'ComparisonOperator': 'GreaterThanThreshold'}}
    fast_sim.client('cloudwatch').put_metric_alarm(**{**alarm['Properties'], 'Threshold': 1})
    for name, resource, says in (
            ('other', {**GATEWAY, 'Properties': {'Other': 1}}, 'Encountered unsupported property Other'),
            ('list', {**GATEWAY, 'Properties': {'Tags': 'none'}}, 'Value of property Tags must be of type List'),
            ('index', table('indexed', GlobalSecondaryIndexes=[]), 'Encountered unsupported property GlobalSecondaryIndexes'),
            ('alarm', alarm, "Resource of type 'AWS::CloudWatch::Alarm' with identifier 'theirs' already exists.")):
        cloudformation.create_stack(StackName=name, **template(Bad=resource))
        settles(cloudformation, name, 'ROLLBACK_COMPLETE')
        [reason] = [row['ResourceStatusReason'] for row in cloudformation.describe_stack_events(StackName=name)['StackEvents']
                    if row['ResourceStatus'] == 'CREATE_FAILED']
        assert says in reason
        ends(cloudformation, name)
    [found] = fast_sim.client('cloudwatch').describe_alarms(AlarmNames=['theirs'])['MetricAlarms']
    assert found['Threshold'] == 1
    fast_sim.client('cloudwatch').delete_alarms(AlarmNames=['theirs'])


@pytest.mark.clients
def test_a_table_is_changed_where_it_can_be(fast_sim, cloudformation):
    dynamodb = fast_sim.client('dynamodb')
    units = {'ReadCapacityUnits': 5, 'WriteCapacityUnits': 6}
    shapes = [table('Shaped'), table('Shaped', BillingMode='PROVISIONED', ProvisionedThroughput=units),
              table('Shaped', BillingMode='PROVISIONED', ProvisionedThroughput=units, DeletionProtectionEnabled=True,
                    TableClass='STANDARD_INFREQUENT_ACCESS'), table('Shaped')]
    del shapes[2]['Properties']['BillingMode']  # It is what there is without one.
    for at, shape in enumerate(shapes):
        (cloudformation.update_stack if at else cloudformation.create_stack)(StackName='shaped', **template(Table=shape))
        settles(cloudformation, 'shaped', 'UPDATE_COMPLETE' if at else 'CREATE_COMPLETE')
        shown = dynamodb.describe_table(TableName='Shaped')['Table']
        assert not daemon.NEWER or shown['DeletionProtectionEnabled'] == (at == 2)
        assert shown['ProvisionedThroughput']['WriteCapacityUnits'] == (6 if at in (1, 2) else 0)
        assert shown.get('TableClassSummary', {}).get('TableClass', 'STANDARD') == (
            'STANDARD_INFREQUENT_ACCESS' if at == 2 else 'STANDARD')
    other = {'AttributeDefinitions': [{'AttributeName': 'L', 'AttributeType': 'S'}],
             'KeySchema': [{'AttributeName': 'L', 'KeyType': 'HASH'}]}
    cloudformation.update_stack(StackName='shaped', **template(Table=table('Shaped', **other)))  # Its items would be lost.
    settles(cloudformation, 'shaped', 'UPDATE_ROLLBACK_COMPLETE')
    assert ('CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename Shaped and update '
            'the stack again.') in [row.get('ResourceStatusReason') for row in
                                    cloudformation.describe_stack_events(StackName='shaped')['StackEvents']]
    ends(cloudformation, 'shaped')


def test_what_a_template_no_longer_says_is_the_default(fast_sim, cloudformation):
    ec2, elbv2, autoscaling = (fast_sim.client(name) for name in ('ec2', 'elbv2', 'autoscaling'))
    said = {'Vpc': {'EnableDnsSupport': False}, 'A': {'MapPublicIpOnLaunch': True}, 'B': {},
            'Group': {'SecurityGroupEgress': [{'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 80, 'CidrIp': '10.0.0.0/8'}]},
            'Balancer': {'SecurityGroups': [{'Ref': 'Group'}],
                         'LoadBalancerAttributes': [{'Key': 'idle_timeout.timeout_seconds', 'Value': '30'}]},
            'Targets': {'HealthCheckPath': '/gtg', 'HealthCheckIntervalSeconds': 10, 'Matcher': {'HttpCode': '200-299'},
                        'TargetGroupAttributes': [{'Key': 'deregistration_delay.timeout_seconds', 'Value': '30'}]},
            'Template': {},
            'Scaling': {'Cooldown': '120', 'HealthCheckType': 'ELB', 'HealthCheckGracePeriod': 60, 'DefaultInstanceWarmup': 30}}

    def made(more, **others):
        base = {
            'Vpc': ('EC2::VPC', {'CidrBlock': '10.8.0.0/24'}),
            'A': ('EC2::Subnet', {'VpcId': {'Ref': 'Vpc'}, 'CidrBlock': '10.8.0.0/26', 'AvailabilityZone': 'us-east-2a'}),
            'B': ('EC2::Subnet', {'VpcId': {'Ref': 'Vpc'}, 'CidrBlock': '10.8.0.64/26', 'AvailabilityZone': 'us-east-2b'}),
            'Group': ('EC2::SecurityGroup', {'VpcId': {'Ref': 'Vpc'}, 'GroupDescription': 'd'}),
            'Balancer': ('ElasticLoadBalancingV2::LoadBalancer', {
                'Scheme': 'internal', 'Subnets': [{'Ref': 'A'}, {'Ref': 'B'}]}),
            'Targets': ('ElasticLoadBalancingV2::TargetGroup', {'VpcId': {'Ref': 'Vpc'}, 'Port': 80, 'Protocol': 'HTTP'}),
            'Template': ('EC2::LaunchTemplate', {'LaunchTemplateData': {'ImageId': BASE_IMAGE}}),
            'Scaling': ('AutoScaling::AutoScalingGroup', {
                'MinSize': 0, 'MaxSize': 0, 'VPCZoneIdentifier': [{'Ref': 'A'}],
                'LaunchTemplate': {'LaunchTemplateId': {'Ref': 'Template'}, 'Version': '1'}})}
        return template(**others, **{
            name: {'Type': 'AWS::' + type, 'Properties': {**properties, **(more or {}).get(name, {})}}
            for name, (type, properties) in base.items()})

    def seen():
        at = {row['LogicalResourceId']: row['PhysicalResourceId'] for row in
              cloudformation.list_stack_resources(StackName='said')['StackResourceSummaries']}
        [balancer] = elbv2.describe_load_balancers(LoadBalancerArns=[at['Balancer']])['LoadBalancers']
        [targets] = elbv2.describe_target_groups(TargetGroupArns=[at['Targets']])['TargetGroups']
        [group] = ec2.describe_security_groups(GroupIds=[at['Group']])['SecurityGroups']
        [scaling] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[at['Scaling']])['AutoScalingGroups']
        attributes = (elbv2.describe_load_balancer_attributes(LoadBalancerArn=at['Balancer'])['Attributes']
                      + elbv2.describe_target_group_attributes(TargetGroupArn=at['Targets'])['Attributes'])
        return (
            ec2.describe_vpc_attribute(VpcId=at['Vpc'], Attribute='enableDnsSupport')['EnableDnsSupport']['Value'],
            ec2.describe_subnets(SubnetIds=[at['A']])['Subnets'][0]['MapPublicIpOnLaunch'],
            [(rule['IpProtocol'], rule['IpRanges'][0]['CidrIp']) for rule in group['IpPermissionsEgress']],
            balancer['SecurityGroups'] == [at['Group']],
            sorted(row['Value'] for row in attributes if row['Key'].endswith('.timeout_seconds')),
            [targets[key] for key in ('HealthCheckPath', 'HealthCheckIntervalSeconds', 'Matcher')],
            [scaling.get(key) for key in ('DefaultCooldown', 'HealthCheckType', 'HealthCheckGracePeriod', 'DefaultInstanceWarmup')])
    plain = (True, False, [('-1', '0.0.0.0/0')], False, ['300', '60'], ['/', 30, {'HttpCode': '200'}], [300, 'EC2', 0, None])
    special = (False, True, [('tcp', '10.0.0.0/8')], True, ['30', '30'], ['/gtg', 10, {'HttpCode': '200-299'}],
               [120, 'ELB', 60, 30])
    for at, (more, others, wanted) in enumerate((
            (None, {}, plain), (said, {'Fails': {**OUTSIDE, 'DependsOn': ['Scaling', 'Balancer']}}, plain), (said, {}, special),
            (None, {}, plain), (said, {}, special), ({'Targets': {'Matcher': {}}}, {}, plain))):
        (cloudformation.update_stack if at else cloudformation.create_stack)(StackName='said', **made(more, **others))
        settles(cloudformation, 'said', ('UPDATE_ROLLBACK_COMPLETE' if others else 'UPDATE_COMPLETE') if at else 'CREATE_COMPLETE')
        assert seen() == wanted
    ends(cloudformation, 'said')


def test_bad_change_sets_change_nothing(cloudformation):
    create = cloudformation.create_change_set
    body = json.dumps(QUEUE)
    secret = [{'ParameterKey': 'Secret', 'ParameterValue': 's'}]
    named = {'StackName': 'told', 'ChangeSetName': 'x', 'TemplateBody': body, 'Parameters': secret}
    refused(create, 'ValidationError', 'does not exist', **{**named, 'StackName': 'none'})
    refused(create, 'ValidationError', 'already exists and cannot be created again', ChangeSetType='CREATE', **named)
    refused(create, 'ValidationError', 'must have values', StackName='fresh', ChangeSetName='x', TemplateBody=body,
            ChangeSetType='CREATE')
    refused(create, 'ValidationError', 'RoleARN is not supported', RoleARN='arn:aws:iam::000000000000:role/x', **named)
    refused(create, 'ValidationError', 'changeSetName', **{**named, 'ChangeSetName': '1x'})
    other = json.loads(body)
    other['Resources']['Subnet'] = other['Resources']['Spare']
    refused(create, 'ValidationError', 'Update of resource type is not permitted',
            **{**named, 'TemplateBody': json.dumps(other)})
    broken = json.loads(body)
    broken['Conditions']['WithSpare'] = {'Fn::Equals': ['one']}
    refused(cloudformation.update_stack, 'ValidationError', 'Fn::Equals', StackName='told', Parameters=secret,
            TemplateBody=json.dumps(broken))
    assert 'fresh' not in [row['StackName'] for row in cloudformation.describe_stacks()['Stacks']]
    cloudformation.create_change_set(**{**named, 'Parameters': [
        {'ParameterKey': 'Called', 'ParameterValue': 'z'}, *secret]})
    refused(create, 'AlreadyExistsException', 'x already exists', **named)
    refused(cloudformation.execute_change_set, 'ChangeSetNotFound', 'none', StackName='told', ChangeSetName='none')
    assert status(cloudformation, 'told') == 'UPDATE_COMPLETE'


def test_stacks_and_change_sets_survive_a_kill(fast_sim, cloudformation):
    fast_sim.restart()
    seen = cloudformation.describe_change_set(StackName='told', ChangeSetName='x')
    assert [row['ResourceChange']['LogicalResourceId'] for row in seen['Changes']] == ['Subnet']
    cloudformation.execute_change_set(StackName='told', ChangeSetName='x')
    cloudformation.get_waiter('stack_update_complete').wait(
        StackName='told', WaiterConfig={'Delay': 0.2, 'MaxAttempts': 100})
    cloudformation.delete_stack(StackName='told')
    daemon.wait(lambda: 'told' not in [row['StackName'] for row in cloudformation.describe_stacks()['Stacks']], 'its end')


def test_templates_are_told_about(fast_sim, cloudformation):
    said = fast_sim.aws('cloudformation', 'validate-template', '--template-body', f'file://{TEMPLATE}')
    assert said['Capabilities'] == ['CAPABILITY_IAM'] and 'Auto Scaling' in said['Description']
    summary = cloudformation.get_template_summary(TemplateBody=TEMPLATE.read_text())
    assert 'AWS::AutoScaling::AutoScalingGroup' in summary['ResourceTypes']
    assert [row['DefaultValue'] for row in summary['Parameters'] if row['ParameterKey'] == 'MaxSize'] == ['4']
    sized = {'Parameters': {'Size': {'Type': 'Number', 'Default': 2, 'AllowedValues': [1, 2]}}, 'Resources': {'G': GATEWAY}}
    [row] = cloudformation.get_template_summary(TemplateBody=json.dumps(sized))['Parameters']
    assert (row['DefaultValue'], row['ParameterConstraints']) == ('2', {'AllowedValues': ['1', '2']})
    refused(cloudformation.validate_template, 'ValidationError', 'Unrecognized resource types', TemplateBody=json.dumps(
        {'Resources': {'Q': {'Type': 'AWS::SQS::Queue'}}}))
