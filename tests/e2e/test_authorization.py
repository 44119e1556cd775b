"""What a policy names by its ARN is what is allowed or denied, however a request calls it."""
import json

import pytest

import daemon
from daemon import wait
from stack import BASE_IMAGE
from test_wire import ACCOUNT, TRUST_EC2, document, make_user, policy, refused, trust

EC2 = f'arn:aws:ec2:{daemon.REGION}:{ACCOUNT}:'
IMAGE = f'arn:aws:ec2:{daemon.REGION}::image/{BASE_IMAGE}'
DENIED = ('UnauthorizedOperation', 403)


@pytest.fixture(scope='module')
def place(sim):
    """A network of two subnets, and two instances in the first."""
    ec2 = sim.client('ec2')
    vpc = ec2.create_vpc(CidrBlock='10.7.0.0/16')['Vpc']['VpcId']
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f'10.7.{i}.0/24')['Subnet']['SubnetId'] for i in (1, 2)]
    group = ec2.create_security_group(GroupName='g', Description='g', VpcId=vpc)['GroupId']
    made = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=2, MaxCount=2, SubnetId=subnets[0])
    instances = [i['InstanceId'] for i in made['Instances']]
    ec2.get_waiter('instance_running').wait(InstanceIds=instances, WaiterConfig={'Delay': 1})
    yield {'vpc': vpc, 'subnets': subnets, 'group': group, 'instances': instances}
    ec2.terminate_instances(InstanceIds=instances)


def states(sim, instances):
    return [i['State']['Name'] for r in sim.client('ec2').describe_instances(InstanceIds=instances)['Reservations']
            for i in r['Instances']]


def test_each_instance_is_judged(sim, place):
    mine, other = place['instances']
    _, client = make_user(sim, 'judged', policy('Allow', 'ec2:*', f'{EC2}instance/{mine}'))
    ec2 = client('ec2')
    ec2.monitor_instances(InstanceIds=[mine])
    assert ec2.describe_instance_attribute(InstanceId=mine, Attribute='instanceType')['InstanceType']['Value'] == 't2.micro'
    for call, arguments in ((ec2.stop_instances, {'InstanceIds': [mine, other]}),
                            (ec2.terminate_instances, {'InstanceIds': [other]}),
                            (ec2.modify_instance_attribute, {'InstanceId': other, 'EbsOptimized': {'Value': True}}),
                            (ec2.create_tags, {'Resources': [mine, other], 'Tags': [{'Key': 'a', 'Value': 'b'}]}),
                            (ec2.create_image, {'InstanceId': mine, 'Name': 'mine'}),  # Which is of an image, too.
                            (ec2.describe_instances, {})):
        code, status, text = refused(call, **arguments)
        assert (code, status) == DENIED and 'is not authorized to perform: ec2:' in text, text
    assert states(sim, [mine, other]) == ['running', 'running'], 'some of it was done'
    ec2.create_tags(Resources=[mine], Tags=[{'Key': 'a', 'Value': 'b'}])


def test_a_denied_instance_is_denied(sim, place):
    mine, other = place['instances']
    _, client = make_user(sim, 'denied', policy('Allow', 'ec2:*'), policy('Deny', 'ec2:*', f'{EC2}instance/{other}'))
    refusal = refused(client('ec2').stop_instances, InstanceIds=[other])
    assert refusal[:2] == DENIED and 'explicit deny' in refusal[2]
    client('ec2').monitor_instances(InstanceIds=[mine])


def test_a_network_is_judged_by_its_parts(sim, place):
    _, client = make_user(sim, 'networker', policy('Allow', 'ec2:*', [
        f'{EC2}subnet/{place["subnets"][0]}', f'{EC2}vpc/{place["vpc"]}', f'{EC2}route-table/*']))
    ec2 = client('ec2')
    table = ec2.create_route_table(VpcId=place['vpc'])['RouteTable']['RouteTableId']
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=place['subnets'][0])['AssociationId']
    assert refused(ec2.associate_route_table, RouteTableId=table, SubnetId=place['subnets'][1])[:2] == DENIED
    assert refused(ec2.create_subnet, VpcId=place['vpc'], CidrBlock='10.7.9.0/24')[:2] == DENIED
    assert refused(ec2.delete_security_group, GroupId=place['group'])[:2] == DENIED
    ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route_table(RouteTableId=table)


def test_a_launch_is_judged_by_all_that_it_is_of(sim, place):
    ec2, iam = sim.client('ec2'), sim.client('iam')
    allowed = [f'{EC2}instance/*', f'{EC2}network-interface/*', f'{EC2}volume/*', IMAGE,
               f'{EC2}subnet/{place["subnets"][0]}', f'{EC2}security-group/{place["group"]}']
    _, client = make_user(sim, 'launcher', policy('Allow', 'ec2:RunInstances', allowed))
    made = []

    def launch(**more):
        arguments = {'ImageId': BASE_IMAGE, 'InstanceType': 't2.micro', 'MinCount': 1, 'MaxCount': 1,
                     'SubnetId': place['subnets'][0], 'SecurityGroupIds': [place['group']], **more}
        arguments = {key: value for key, value in arguments.items() if value is not None}
        made.append(client('ec2').run_instances(**arguments)['Instances'][0]['InstanceId'])
    launch()
    template = ec2.create_launch_template(LaunchTemplateName='elsewhere', LaunchTemplateData={
        'ImageId': BASE_IMAGE, 'NetworkInterfaces': [{'DeviceIndex': 0, 'SubnetId': place['subnets'][1],
                                                      'Groups': [place['group']]}]})['LaunchTemplate']['LaunchTemplateId']
    ec2.create_key_pair(KeyName='somebody')
    nothing = {'ImageId': None, 'SubnetId': None, 'SecurityGroupIds': None}
    for more, says in (({'SubnetId': place['subnets'][1]}, place['subnets'][1]),
                       ({'SecurityGroupIds': None}, 'security-group/sg-'),
                       ({'KeyName': 'somebody'}, 'key-pair/somebody'),
                       ({'LaunchTemplate': {'LaunchTemplateId': template}, **nothing}, place['subnets'][1])):
        code, status, text = refused(launch, **more)
        assert (code, status) == DENIED and says in text, text
    # Who may launch may not therefore give away roles that can do more.
    iam.create_role(RoleName='mighty', Path='/app/', AssumeRolePolicyDocument=TRUST_EC2)
    iam.create_instance_profile(InstanceProfileName='mighty')
    iam.add_role_to_instance_profile(InstanceProfileName='mighty', RoleName='mighty')
    code, _, text = refused(launch, IamInstanceProfile={'Name': 'mighty'})
    assert code == DENIED[0] and f'iam:PassRole on resource: arn:aws:iam::{ACCOUNT}:role/app/mighty' in text
    iam.put_user_policy(UserName='launcher', PolicyName='pass', PolicyDocument=document(policy(
        'Allow', 'iam:PassRole', f'arn:aws:iam::{ACCOUNT}:role/app/*',
        Condition={'StringEquals': {'iam:PassedToService': 'ec2.amazonaws.com'}})))
    launch(IamInstanceProfile={'Name': 'mighty'})
    ec2.terminate_instances(InstanceIds=made)
    # Nor let a group do it for them.
    iam.put_user_policy(UserName='launcher', PolicyName='groups', PolicyDocument=document(policy('Allow', 'autoscaling:*')))
    code, _, text = refused(client('autoscaling').create_auto_scaling_group, AutoScalingGroupName='elsewhere', MinSize=0,
                            MaxSize=1, LaunchTemplate={'LaunchTemplateId': template}, VPCZoneIdentifier=place['subnets'][1])
    assert code == 'AccessDenied' and text == f'You are not authorized to use launch template: {template}'
    # Nor by a template that could not be launched yet.
    iam.delete_user_policy(UserName='launcher', PolicyName='pass')
    iam.put_user_policy(UserName='launcher', PolicyName='launches', PolicyDocument=document(policy('Allow', 'ec2:*', '*')))
    for number, more in enumerate(({'KeyName': 'later', 'IamInstanceProfile': {'Name': 'mighty'}},
                                   {'IamInstanceProfile': {'Name': 'later'}})):
        later = ec2.create_launch_template(LaunchTemplateName=f'later-{number}', LaunchTemplateData={
            'ImageId': BASE_IMAGE, 'InstanceType': 't2.micro', **more})['LaunchTemplate']['LaunchTemplateId']
        code, _, text = refused(client('autoscaling').create_auto_scaling_group, AutoScalingGroupName='later', MinSize=0,
                                MaxSize=1, LaunchTemplate={'LaunchTemplateId': later},
                                VPCZoneIdentifier=place['subnets'][0])
        assert code == 'AccessDenied' and text == f'You are not authorized to use launch template: {later}'
    _, client = make_user(sim, 'profiler', policy('Allow', 'iam:*InstanceProfile', '*'))
    client('iam').create_instance_profile(InstanceProfileName='own')
    assert 'iam:PassRole' in refused(client('iam').add_role_to_instance_profile, InstanceProfileName='own',
                                     RoleName='mighty')[2]


def test_a_group_by_its_arn(sim, place):
    asg, ec2 = sim.client('autoscaling'), sim.client('ec2')
    template = ec2.create_launch_template(LaunchTemplateName='for-groups', LaunchTemplateData={
        'ImageId': BASE_IMAGE, 'InstanceType': 't2.micro'})['LaunchTemplate']['LaunchTemplateId']
    for name in ('mine', 'other'):
        asg.create_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=1, DesiredCapacity=1,
                                      LaunchTemplate={'LaunchTemplateId': template}, VPCZoneIdentifier=place['subnets'][0])
    groups = {g['AutoScalingGroupName']: g for g in asg.describe_auto_scaling_groups()['AutoScalingGroups']}
    policies = {name: asg.put_scaling_policy(AutoScalingGroupName=name, PolicyName='p', AdjustmentType='ChangeInCapacity',
                                             ScalingAdjustment=0)['PolicyARN'] for name in groups}

    def instances(name):
        return asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])['AutoScalingGroups'][0]['Instances']
    wait(lambda: all(i['LifecycleState'] == 'InService' for n in groups for i in instances(n) or [{'LifecycleState': ''}]),
         'instances')
    _, client = make_user(sim, 'scaler', policy('Allow', 'autoscaling:*', groups['mine']['AutoScalingGroupARN']))
    theirs = client('autoscaling')

    def calls(name):
        tag = {'ResourceId': name, 'ResourceType': 'auto-scaling-group', 'Key': 'k', 'Value': 'v', 'PropagateAtLaunch': False}
        yield theirs.update_auto_scaling_group, {'AutoScalingGroupName': name, 'MaxSize': 2}
        yield theirs.create_or_update_tags, {'Tags': [tag]}
        yield theirs.execute_policy, {'PolicyName': policies[name]}
        yield theirs.set_instance_health, {'InstanceId': instances(name)[0]['InstanceId'], 'HealthStatus': 'Healthy'}
        yield theirs.delete_policy, {'PolicyName': policies[name]}
        yield theirs.delete_auto_scaling_group, {'AutoScalingGroupName': name, 'ForceDelete': True}
    for call, arguments in calls('other'):
        assert refused(call, **arguments)[0] == 'AccessDenied', call
    for call, arguments in calls('mine'):
        call(**arguments)
    asg.delete_auto_scaling_group(AutoScalingGroupName='other', ForceDelete=True)


def test_a_stack_by_its_arn(sim):
    cloudformation = sim.client('cloudformation')
    body = json.dumps({'Resources': {'Role': {'Type': 'AWS::IAM::Role', 'Properties': {
        'AssumeRolePolicyDocument': json.loads(TRUST_EC2)}}}})
    ids = {name: cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=['CAPABILITY_IAM'])['StackId']
           for name in ('mine', 'other')}
    for name in ids:
        cloudformation.get_waiter('stack_create_complete').wait(StackName=name, WaiterConfig={'Delay': 1})
    _, client = make_user(sim, 'stacker', policy('Allow', 'cloudformation:*', ids['mine']))
    theirs = client('cloudformation')
    changes = cloudformation.create_change_set(
        StackName='other', ChangeSetName='c', Capabilities=['CAPABILITY_IAM'],
        TemplateBody=body.replace('"Role"', '"Other"'))['Id']
    for name in ('other', ids['other']):
        assert refused(theirs.delete_stack, StackName=name)[0] == 'AccessDenied'
    for more in ({}, {'StackName': 'mine'}):  # A change set's ARN says of which stack it is.
        assert refused(theirs.execute_change_set, ChangeSetName=changes, **more)[0] == 'AccessDenied'
    assert refused(theirs.describe_stacks)[0] == 'AccessDenied'
    for name in ('mine', ids['mine']):
        assert theirs.describe_stacks(StackName=name)['Stacks'][0]['StackId'] == ids['mine']
    theirs.delete_stack(StackName='mine')
    cloudformation.delete_stack(StackName='other')


def test_roles_and_users_by_their_paths(sim):
    iam = sim.client('iam')
    arn, client = make_user(sim, 'pathfinder', policy('Allow', 'iam:*', f'arn:aws:iam::{ACCOUNT}:role/dev/*'),
                            policy('Allow', 'iam:*AccessKey*', f'arn:aws:iam::{ACCOUNT}:user/${{aws:username}}'),
                            policy('Allow', 'sts:AssumeRole', f'arn:aws:iam::{ACCOUNT}:role/dev/*'))
    for name, path in (('tester', '/dev/'), ('boss', '/')):
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust(arn))
    client('iam').create_role(RoleName='made', Path='/dev/', AssumeRolePolicyDocument=trust(arn))
    for path in ('/', '/other/'):
        assert refused(client('iam').create_role, RoleName='dev', Path=path, AssumeRolePolicyDocument=trust(arn))[0] == 'AccessDenied'
    assert client('iam').get_role(RoleName='tester')['Role']['Path'] == '/dev/'
    assert refused(client('iam').get_role, RoleName='boss')[0] == 'AccessDenied'
    assert len(client('iam').list_access_keys()['AccessKeyMetadata']) == 1, 'their own'
    assert refused(client('iam').list_access_keys, UserName='root')[0] == 'AccessDenied'
    sts = client('sts')
    sts.assume_role(RoleArn=f'arn:aws:iam::{ACCOUNT}:role/dev/tester', RoleSessionName='s1')
    for wrong in ('role/dev/boss', 'role/boss', 'role/tester', 'role/dev/x/tester'):
        assert refused(sts.assume_role, RoleArn=f'arn:aws:iam::{ACCOUNT}:{wrong}', RoleSessionName='s1')[0] == 'AccessDenied'


def test_a_parameter_however_it_is_called(sim):
    ssm = sim.client('ssm')
    own = f'arn:aws:ssm:{daemon.REGION}:{ACCOUNT}:parameter'
    for name in ('/app/open', '/app/secret', 'plain'):
        ssm.put_parameter(Name=name, Value='x', Type='String')
    _, client = make_user(sim, 'reader', policy('Allow', 'ssm:*'), policy('Deny', 'ssm:*', f'{own}/app/secret'))
    theirs = client('ssm')
    for name in ('/app/open', '/app/open:1', f'{own}/app/open', 'plain', f'{own}/plain'):
        assert theirs.get_parameter(Name=name)['Parameter']['Value'] == 'x'
    for name in ('/app/secret', '/app/secret:1', f'{own}/app/secret', f'{own}/app/secret:1'):
        assert refused(theirs.get_parameter, Name=name)[0] == 'AccessDeniedException', name
    assert refused(theirs.get_parameter, Name='arn:aws:ssm:eu-west-1:1:parameter/app/secret')[0] == 'ParameterNotFound'
    assert refused(theirs.get_parameters, Names=['/app/open', '/app/secret'])[0] == 'AccessDeniedException'
    assert refused(theirs.delete_parameters, Names=['/app/open', '/app/secret'])[0] == 'AccessDeniedException'
    assert refused(theirs.remove_tags_from_resource, ResourceType='Parameter', ResourceId='/app/secret',
                   TagKeys=['k'])[0] == 'AccessDeniedException'
    _, client = make_user(sim, 'publican', policy('Allow', 'ssm:GetParameters', [
        f'{own}/app/open', f'arn:aws:ssm:{daemon.REGION}::parameter/aws/service/*']))
    public = '/aws/service/debian/release/12/latest/amd64'
    assert len(client('ssm').get_parameters(Names=['/app/open', public])['Parameters']) == 2


def test_a_command_is_judged_by_its_document_and_instances(sim, place):
    mine, other = place['instances']
    iam, ec2 = sim.client('iam'), sim.client('ec2')
    iam.create_role(RoleName='managed', AssumeRolePolicyDocument=TRUST_EC2)
    iam.attach_role_policy(RoleName='managed', PolicyArn='arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore')
    iam.create_instance_profile(InstanceProfileName='managed')
    iam.add_role_to_instance_profile(InstanceProfileName='managed', RoleName='managed')
    made = [i['InstanceId'] for i in ec2.run_instances(
        ImageId=BASE_IMAGE, MinCount=2, MaxCount=2, SubnetId=place['subnets'][0], IamInstanceProfile={'Name': 'managed'},
        TagSpecifications=[{'ResourceType': 'instance', 'Tags': [{'Key': 'role', 'Value': 'managed'}]}])['Instances']]
    ec2.get_waiter('instance_running').wait(InstanceIds=made, WaiterConfig={'Delay': 1})
    document_arn = f'arn:aws:ssm:{daemon.REGION}::document/AWS-RunShellScript'
    _, client = make_user(sim, 'runner', policy('Allow', 'ssm:SendCommand', [document_arn, f'{EC2}instance/{made[0]}']))
    command = {'DocumentName': 'AWS-RunShellScript', 'Parameters': {'commands': ['true']}}
    wait(lambda: len(sim.client('ssm').describe_instance_information()['InstanceInformationList']) >= 2, 'them to be managed')
    client('ssm').send_command(InstanceIds=made[:1], **command)
    for targets in ({'InstanceIds': made}, {'Targets': [{'Key': 'tag:role', 'Values': ['managed']}]}):
        code, _, text = refused(client('ssm').send_command, **targets, **command)
        assert code == 'AccessDeniedException' and f'instance/{made[1]}' in text
    ec2.terminate_instances(InstanceIds=made)


def test_load_balancers_alarms_and_resource_groups(sim, place):
    elb, cloudwatch, groups = sim.client('elbv2'), sim.client('cloudwatch'), sim.client('resource-groups')
    targets = {name: elb.create_target_group(Name=name, Protocol='HTTP', Port=80, VpcId=place['vpc'])[
        'TargetGroups'][0]['TargetGroupArn'] for name in ('mine', 'other')}
    query = {'Type': 'TAG_FILTERS_1_0', 'Query': json.dumps({'ResourceTypeFilters': ['AWS::AllSupported'], 'TagFilters': [
        {'Key': 'a', 'Values': ['b']}]})}
    for name in ('mine', 'other'):
        cloudwatch.put_metric_alarm(AlarmName=name, Namespace='N', MetricName='m', Statistic='Average', Period=60,
                                    EvaluationPeriods=1, Threshold=1, ComparisonOperator='GreaterThanThreshold')
        groups.create_group(Name=name, ResourceQuery=query)
    _, client = make_user(sim, 'owner', policy('Allow', '*', [
        targets['mine'], f'arn:aws:cloudwatch:{daemon.REGION}:{ACCOUNT}:alarm:mine',
        f'arn:aws:resource-groups:{daemon.REGION}:{ACCOUNT}:group/mine']))
    alarms = client('cloudwatch')
    assert len(alarms.describe_alarms(AlarmNames=['mine'])['MetricAlarms']) == 1
    for call, arguments in ((client('elbv2').modify_target_group, {'TargetGroupArn': targets['other'], 'HealthCheckPath': '/x'}),
                            (client('elbv2').add_tags, {'ResourceArns': list(targets.values()),
                                                        'Tags': [{'Key': 'a', 'Value': 'b'}]}),
                            (client('elbv2').delete_target_group, {'TargetGroupArn': targets['other']}),
                            (alarms.describe_alarms, {}),
                            (alarms.disable_alarm_actions, {'AlarmNames': ['mine', 'other']}),
                            (alarms.delete_alarms, {'AlarmNames': ['other']}),
                            (client('resource-groups').delete_group, {'Group': 'other'})):
        assert 'AccessDenied' in refused(call, **arguments)[0], call
    client('elbv2').add_tags(ResourceArns=[targets['mine']], Tags=[{'Key': 'a', 'Value': 'b'}])
    client('elbv2').delete_target_group(TargetGroupArn=targets['mine'])
    alarms.delete_alarms(AlarmNames=['mine'])
    client('resource-groups').delete_group(Group='mine')
    elb.delete_target_group(TargetGroupArn=targets['other'])
