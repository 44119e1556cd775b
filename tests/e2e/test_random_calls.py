"""Calls at random: whatever a client asks, muster answers as AWS would, and goes on.

Every operation that muster has is called with parameters that botocore's models allow or nearly allow: names and ids
of earlier answers, numbers at their limits, texts of all kinds, members left out. An answer of 500 or more, one that
botocore cannot read, a call that takes long or a daemon that ends is a failure; so is one that does not come back on
what was stored. The seed is printed; MUSTER_SEED=N MUSTER_CALLS=N repeats a run.
"""
import collections
import datetime
import os
import random
import re
import time

import botocore.exceptions
import pytest

import daemon

SERVICES = ['autoscaling', 'cloudformation', 'cloudwatch', 'dynamodb', 'ec2', 'elbv2', 'iam', 'resource-groups', 'ssm', 'sts']
TEXTS = ['', 'a', 'Name', 'x' * 300, 'x' * 70000, '*', '../../etc/passwd', '%s%n', 'ä€🗳', '\u2028', '\x7f', ' ', '-1', '0', '1e400', 'true',
         '{}', '[', '{"Version":"2012-10-17"}', '<a>&amp;', "'; --", '10.0.0.0/16', '10.0.1.0/24', '0.0.0.0/0',
         '10.0.0.0/33', '::/0', 'us-east-2', 'us-east-2a', 'us-east-2z', 't2.micro', 'ami-12345678', 'arn:aws:iam::aws:policy/x',
         'arn:aws:::', 'tcp', '2026-01-01T00:00:00Z', 'rate(1 minute)', 'a = :v', 'SET a = :v', 'ValueFrom']
NUMBERS = [0, 1, -1, 2, 3, 10, 59, 60, 61, 80, 300, 65535, 65536, 2 ** 31 - 1, 2 ** 31, -2 ** 31, 2 ** 53, 2 ** 63 - 1, -2 ** 63]
REALS = [0.0, -1.5, 60.0, 1e308, 1e-308, 5e-324, 123456789.125]
TIMES = [datetime.datetime(year, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc) for year in (1, 1970, 2025, 2026, 2038, 9999)]

TRUST = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
         '"Principal":{"Service":"ec2.amazonaws.com"}}]}')
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}]}'
TEMPLATE = ('{"Parameters":{"P":{"Type":"String","Default":"p"}},"Resources":{"Vpc":{"Type":"AWS::EC2::VPC","Properties":'
            '{"CidrBlock":"10.3.0.0/24","Tags":[{"Key":"k","Value":{"Ref":"P"}}]}},"Group":{"Type":"AWS::EC2::SecurityGroup",'
            '"Properties":{"GroupDescription":"d","VpcId":{"Ref":"Vpc"}}}},"Outputs":{"V":{"Value":{"Ref":"Vpc"}}}}')
SEEN = ...  # A value that an answer gave under the member's name; left out when there was none.
TAGS = [{'Key': 'k', 'Value': 'v'}]
KEY = {'p': {'S': 'one'}}
# Members that take what others are called.
ALIASES = {'vpczoneidentifier': 'subnetid', 'subnet': 'subnetid', 'securitygroup': 'groupid', 'securitygroupid': 'groupid',
           'gatewayid': 'internetgatewayid', 'alarmaction': 'policyarn', 'resource': 'vpcid', 'id': 'instanceid',
           'resourcearn': 'targetgrouparn', 'rolearn': 'arn', 'topicarn': 'arn'}

# Calls that AWS would take, from which most calls are made by changing them a little.
GOOD = {
    'ec2': {
        'CreateVpc': {'CidrBlock': '10.0.0.0/16'},
        'CreateSubnet': {'VpcId': SEEN, 'CidrBlock': '10.0.1.0/24', 'AvailabilityZone': 'us-east-2b'},
        'CreateRouteTable': {'VpcId': SEEN},
        'CreateRoute': {'RouteTableId': SEEN, 'DestinationCidrBlock': '0.0.0.0/0', 'GatewayId': SEEN},
        'AttachInternetGateway': {'VpcId': SEEN, 'InternetGatewayId': SEEN},
        'AssociateRouteTable': {'RouteTableId': SEEN, 'SubnetId': SEEN},
        'CreateSecurityGroup': {'GroupName': 'two', 'Description': 'd', 'VpcId': SEEN},
        'AuthorizeSecurityGroupIngress': {'GroupId': SEEN, 'IpPermissions': [
            {'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 80, 'IpRanges': [{'CidrIp': '0.0.0.0/0', 'Description': 'd'}],
             'UserIdGroupPairs': [{'GroupId': SEEN}]}]},
        'RevokeSecurityGroupIngress': {'GroupId': SEEN, 'SecurityGroupRuleIds': [SEEN]},
        'ModifySecurityGroupRules': {'GroupId': SEEN, 'SecurityGroupRules': [{'SecurityGroupRuleId': SEEN, 'SecurityGroupRule': {
            'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'CidrIpv4': '10.0.0.0/8'}}]},
        'RunInstances': {'ImageId': 'ami-0deb1a12000000000', 'InstanceType': 't2.micro', 'MinCount': 1, 'MaxCount': 1, 'SubnetId': SEEN,
                         'TagSpecifications': [{'ResourceType': 'instance', 'Tags': TAGS}], 'UserData': 'x',
                         'IamInstanceProfile': {'Name': 'one'}, 'SecurityGroupIds': [SEEN]},
        'StopInstances': {'InstanceIds': [SEEN]}, 'StartInstances': {'InstanceIds': [SEEN]},
        'RebootInstances': {'InstanceIds': [SEEN]}, 'TerminateInstances': {'InstanceIds': [SEEN]},
        'ModifyInstanceAttribute': {'InstanceId': SEEN, 'InstanceType': {'Value': 't3.small'}},
        'CreateImage': {'InstanceId': SEEN, 'Name': 'three'}, 'DeregisterImage': {'ImageId': SEEN},
        'CreateTags': {'Resources': [SEEN], 'Tags': TAGS},
        'CreateLaunchTemplate': {'LaunchTemplateName': 'one', 'LaunchTemplateData': {
            'ImageId': 'ami-0deb1a12000000000', 'InstanceType': 't2.micro', 'SecurityGroupIds': [SEEN], 'UserData': 'eA==', 'TagSpecifications': [
                {'ResourceType': 'instance', 'Tags': TAGS}], 'MetadataOptions': {'HttpTokens': 'required'},
            'IamInstanceProfile': {'Name': 'one'}}},
        'CreateLaunchTemplateVersion': {'LaunchTemplateId': SEEN, 'SourceVersion': '1', 'LaunchTemplateData': {'InstanceType': 't3.micro'}},
        'DescribeInstances': {'Filters': [{'Name': 'instance-state-name', 'Values': ['running', 'r*']}]},
    },
    'autoscaling': {
        'CreateAutoScalingGroup': {'AutoScalingGroupName': 'one', 'MinSize': 0, 'MaxSize': 3, 'DesiredCapacity': 1,
                                   'LaunchTemplate': {'LaunchTemplateId': SEEN, 'Version': '$Latest'},
                                   'VPCZoneIdentifier': SEEN, 'AvailabilityZones': ['us-east-2a'], 'Tags': [{**TAGS[0], 'PropagateAtLaunch': True}]},
        'UpdateAutoScalingGroup': {'AutoScalingGroupName': 'one', 'MinSize': 1, 'MaxSize': 4, 'DefaultCooldown': 30},
        'SetDesiredCapacity': {'AutoScalingGroupName': 'one', 'DesiredCapacity': 2},
        'PutScalingPolicy': {'AutoScalingGroupName': 'one', 'PolicyName': 'two', 'PolicyType': 'StepScaling',
                             'AdjustmentType': 'ChangeInCapacity', 'StepAdjustments': [
                                 {'MetricIntervalLowerBound': 0.0, 'ScalingAdjustment': 1}]},
        'ExecutePolicy': {'AutoScalingGroupName': 'one', 'PolicyName': 'two', 'MetricValue': 70.0, 'BreachThreshold': 60.0},
        'AttachLoadBalancerTargetGroups': {'AutoScalingGroupName': 'one', 'TargetGroupARNs': [SEEN]},
        'SetInstanceHealth': {'InstanceId': SEEN, 'HealthStatus': 'Unhealthy'},
        'SuspendProcesses': {'AutoScalingGroupName': 'one', 'ScalingProcesses': ['Launch']},
        'ResumeProcesses': {'AutoScalingGroupName': 'one'},
        'TerminateInstanceInAutoScalingGroup': {'InstanceId': SEEN, 'ShouldDecrementDesiredCapacity': True},
        'DeleteAutoScalingGroup': {'AutoScalingGroupName': 'one', 'ForceDelete': True},
    },
    'elbv2': {
        'CreateLoadBalancer': {'Name': 'one', 'Subnets': [SEEN, SEEN], 'SecurityGroups': [SEEN]},
        'CreateTargetGroup': {'Name': 'one', 'Protocol': 'HTTP', 'Port': 80, 'VpcId': SEEN, 'HealthCheckPath': '/gtg',
                              'HealthCheckIntervalSeconds': 10, 'HealthCheckTimeoutSeconds': 5},
        'CreateListener': {'LoadBalancerArn': SEEN, 'Protocol': 'HTTP', 'Port': 80,
                           'DefaultActions': [{'Type': 'forward', 'TargetGroupArn': SEEN}]},
        'RegisterTargets': {'TargetGroupArn': SEEN, 'Targets': [{'Id': SEEN, 'Port': 80}]},
        'ModifyTargetGroup': {'TargetGroupArn': SEEN, 'HealthyThresholdCount': 3},
        'ModifyTargetGroupAttributes': {'TargetGroupArn': SEEN, 'Attributes': [
            {'Key': 'deregistration_delay.timeout_seconds', 'Value': '10'}]},
        'ModifyLoadBalancerAttributes': {'LoadBalancerArn': SEEN, 'Attributes': [{'Key': 'idle_timeout.timeout_seconds', 'Value': '30'}]},
        'AddTags': {'ResourceArns': [SEEN], 'Tags': TAGS},
    },
    'cloudwatch': {
        'PutMetricData': {'Namespace': 'one', 'MetricData': [{'MetricName': 'two', 'Value': 3.0, 'Unit': 'Percent', 'Dimensions': [
            {'Name': 'd', 'Value': 'e'}]}]},
        'PutMetricAlarm': {'AlarmName': 'one', 'Namespace': 'one', 'MetricName': 'two', 'Statistic': 'Average', 'Period': 60,
                           'EvaluationPeriods': 1, 'Threshold': 2.0, 'ComparisonOperator': 'GreaterThanThreshold',
                           'AlarmActions': [SEEN]},
        'SetAlarmState': {'AlarmName': 'one', 'StateValue': 'ALARM', 'StateReason': 'r'},
        'GetMetricStatistics': {'Namespace': 'one', 'MetricName': 'two', 'StartTime': TIMES[3], 'EndTime': TIMES[3] + datetime.timedelta(400), 'Period': 86400,
                                'Statistics': ['Average', 'SampleCount']},
        'GetMetricData': {'StartTime': TIMES[3], 'EndTime': TIMES[3] + datetime.timedelta(400), 'MetricDataQueries': [{'Id': 'a', 'MetricStat': {
            'Metric': {'Namespace': 'one', 'MetricName': 'two'}, 'Period': 3600, 'Stat': 'Maximum'}}]},
    },
    'dynamodb': {
        'CreateTable': {'TableName': 'one', 'BillingMode': 'PAY_PER_REQUEST', 'KeySchema': [{'AttributeName': 'p', 'KeyType': 'HASH'}],
                        'AttributeDefinitions': [{'AttributeName': 'p', 'AttributeType': 'S'}]},
        'PutItem': {'TableName': 'one', 'Item': {**KEY, 'n': {'N': '1.50'}, 'm': {'M': {'l': {'L': [{'NS': ['1', '2']}]}}}},
                    'ConditionExpression': 'attribute_not_exists(#p) OR n BETWEEN :v AND :v',
                    'ExpressionAttributeNames': {'#p': 'p'}, 'ExpressionAttributeValues': {':v': {'N': '1.5'}}},
        'UpdateItem': {'TableName': 'one', 'Key': KEY, 'UpdateExpression': 'SET a = if_not_exists(n, :v) + :v, c = list_append(:l, :l)'
                       ' REMOVE m.l[0] ADD n :v', 'ExpressionAttributeValues': {':v': {'N': '1'}, ':l': {'L': []}}, 'ReturnValues': 'UPDATED_NEW'},
        'GetItem': {'TableName': 'one', 'Key': KEY, 'ProjectionExpression': 'm.l[0], n', 'ConsistentRead': True},
        'DeleteItem': {'TableName': 'one', 'Key': KEY, 'ReturnValues': 'ALL_OLD'},
        'Query': {'TableName': 'one', 'KeyConditionExpression': 'p = :p', 'FilterExpression': 'size(m) > :n AND contains(m, :p)',
                  'ExpressionAttributeValues': {':p': {'S': 'one'}, ':n': {'N': '0'}}},
        'Scan': {'TableName': 'one', 'Limit': 2, 'Segment': 0, 'TotalSegments': 2},
        'BatchWriteItem': {'RequestItems': {'one': [{'PutRequest': {'Item': KEY}}]}},
        'BatchGetItem': {'RequestItems': {'one': {'Keys': [KEY]}}},
        'TransactWriteItems': {'TransactItems': [{'Put': {'TableName': 'one', 'Item': KEY}}], 'ClientRequestToken': 'two'},
        'TransactGetItems': {'TransactItems': [{'Get': {'TableName': 'one', 'Key': KEY}}]},
    },
    'cloudformation': {
        'CreateStack': {'StackName': 'one', 'TemplateBody': TEMPLATE, 'Tags': TAGS},
        'UpdateStack': {'StackName': 'one', 'TemplateBody': TEMPLATE, 'Parameters': [{'ParameterKey': 'P', 'ParameterValue': 'q'}]},
        'CreateChangeSet': {'StackName': 'two', 'ChangeSetName': 'two', 'ChangeSetType': 'CREATE', 'TemplateBody': TEMPLATE},
        'ExecuteChangeSet': {'StackName': 'two', 'ChangeSetName': 'two'},
        'DeleteStack': {'StackName': 'one'},
        'ValidateTemplate': {'TemplateBody': TEMPLATE},
        'GetTemplateSummary': {'TemplateBody': TEMPLATE},
    },
    'iam': {
        'CreateRole': {'RoleName': 'one', 'AssumeRolePolicyDocument': TRUST, 'Tags': TAGS},
        'PutRolePolicy': {'RoleName': 'one', 'PolicyName': 'two', 'PolicyDocument': POLICY},
        'CreatePolicy': {'PolicyName': 'one', 'PolicyDocument': POLICY},
        'AttachRolePolicy': {'RoleName': 'one', 'PolicyArn': 'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore'},
        'AddRoleToInstanceProfile': {'InstanceProfileName': 'one', 'RoleName': 'one'},
        'CreateInstanceProfile': {'InstanceProfileName': 'one'},
    },
    'ssm': {
        'SendCommand': {'DocumentName': 'AWS-RunShellScript', 'InstanceIds': [SEEN], 'Parameters': {'commands': ['true']}},
        'PutParameter': {'Name': '/one', 'Value': 'v', 'Type': 'String'},
    },
    'resource-groups': {
        'CreateGroup': {'Name': 'one', 'ResourceQuery': {'Type': 'TAG_FILTERS_1_0', 'Query': (
            '{"ResourceTypeFilters":["AWS::AllSupported"],"TagFilters":[{"Key":"k","Values":["v"]}]}')}},
    },
    'sts': {
        'AssumeRole': {'RoleArn': SEEN, 'RoleSessionName': 'two'},
    },
}

# What there is to begin with, and again after a while: in this order, with these changes.
FOUNDATION = [
    ('ec2', 'CreateVpc', {}), ('ec2', 'CreateSubnet', {}), ('ec2', 'CreateSubnet', {
        'CidrBlock': '10.0.2.0/24', 'AvailabilityZone': 'us-east-2a'}),
    ('ec2', 'CreateInternetGateway', {}), ('ec2', 'AttachInternetGateway', {}), ('ec2', 'CreateRouteTable', {}), ('ec2', 'CreateRoute', {}),
    ('ec2', 'AssociateRouteTable', {}), ('ec2', 'CreateSecurityGroup', {}), ('ec2', 'AuthorizeSecurityGroupIngress', {}),
    ('iam', 'CreateRole', {}), ('iam', 'AttachRolePolicy', {}), ('iam', 'CreateInstanceProfile', {}),
    ('iam', 'AddRoleToInstanceProfile', {}), ('iam', 'CreatePolicy', {}), ('iam', 'PutRolePolicy', {}),
    ('ec2', 'CreateLaunchTemplate', {}), ('elbv2', 'CreateTargetGroup', {}), ('elbv2', 'CreateLoadBalancer', {}),
    ('elbv2', 'CreateListener', {}), ('autoscaling', 'CreateAutoScalingGroup', {}), ('autoscaling', 'PutScalingPolicy', {}),
    ('ec2', 'RunInstances', {}), ('cloudwatch', 'PutMetricAlarm', {}), ('cloudwatch', 'PutMetricData', {}),
    ('dynamodb', 'CreateTable', {}), ('dynamodb', 'BatchWriteItem', {}), ('cloudformation', 'CreateStack', {}),
    ('cloudformation', 'CreateChangeSet', {}), ('ssm', 'PutParameter', {}), ('resource-groups', 'CreateGroup', {}),
    ('autoscaling', 'DescribeAutoScalingInstances', {}),
]


def known_operations():
    """What the .api files name, by the service's name there."""
    for file in sorted((daemon.ROOT / 'src/services').glob('*/*.api')):
        yield file.stem.replace('resourcegroups', 'resource-groups'), set(re.findall(r'^op (\w+)', file.read_text(), re.M))


class Caller:
    """Makes parameters and calls; what answers name is used again."""

    def __init__(self, muster, seed):
        self.random, self.muster = random.Random(seed), muster
        self.seen = collections.defaultdict(lambda: collections.deque(maxlen=40))
        known = dict(known_operations())
        self.clients = {name: muster.client(name, parameter_validation=False, read_timeout=20) for name in SERVICES}
        for client in self.clients.values():
            client.meta.events.register('before-send', self.on_send)
        self.operations = []
        for name, client in self.clients.items():
            operations = [(name, client.meta.service_model.operation_model(one))
                          for one in sorted(known[name] & set(client.meta.service_model.operation_names))]
            assert operations, name
            self.operations += operations
        self.good_ones = [one for one in self.operations if one[1].name in GOOD[one[0]]]
        assert len(self.good_ones) == sum(map(len, GOOD.values()))
        self.succeeded = collections.Counter()

    def chance(self, of):
        return self.random.random() < of

    def text(self, shape, name):
        if getattr(shape, 'enum', None) and self.chance(0.9):
            return self.random.choice(shape.enum)
        if self.known(name) and self.chance(0.75):
            return self.random.choice(self.known(name))
        if self.chance(0.5):
            return self.random.choice(['one', 'two', 'three'])
        return self.random.choice(TEXTS)

    def kind(self, name):
        """One word for what is called VpcId, vpc-id or VpcIds."""
        name = re.sub(r'[^a-z]', '', name.lower())
        return name[:-1] if name.endswith('s') else name

    def known(self, name):
        """What was seen of what a member of this name takes."""
        kind = self.kind(name)
        return self.seen[ALIASES.get(kind, kind)]

    def value(self, shape, name, depth=0):
        kind = shape.type_name
        if self.chance(0.01):  # Something else than what is meant; botocore refuses some of it itself.
            return self.random.choice(['text', 1, True, [], {}])
        if kind == 'structure':
            return self.members(shape, depth)
        if kind == 'list':
            # EC2's lists are of what their element is called.
            of = shape.member.serialization.get('name', name) if shape.member.type_name == 'string' else name
            of = name if of in ('member', 'item') else of
            return [self.value(shape.member, of, depth + 1) for _ in range(self.random.choice([0, 1, 1, 1, 2, 3]))]
        if kind == 'map':
            return {self.text(shape.key, 'key'): self.value(shape.value, name, depth + 1)
                    for _ in range(self.random.choice([0, 1, 1, 2]))}
        if name in ('MaxCount', 'DesiredCapacity'):  # The model makes thousands of instances, if asked; not here.
            return self.random.choice(NUMBERS[:10])
        if kind in ('integer', 'long'):
            return self.random.choice(NUMBERS[:12] if self.chance(0.8) else NUMBERS)
        if kind in ('float', 'double'):
            return self.random.choice(REALS)
        if kind == 'boolean':
            return self.chance(0.5)
        if kind == 'timestamp':
            return self.random.choice(TIMES)
        if kind == 'blob':
            return self.random.choice([b'', b'x', bytes(range(256))])
        return self.text(shape, name)

    def members(self, shape, depth=0):
        """Union shapes (DynamoDB's values) have mostly one."""
        if depth > 7:
            return {}
        required = set(shape.required_members)
        few = shape.name == 'AttributeValue'
        names = [self.random.choice(list(shape.members))] if few and shape.members else [
            name for name in shape.members if self.chance(0.95 if name in required else 0.2 if depth else 0.3)]
        return {name: self.value(shape.members[name], name, depth + 1)
                for name in names if name not in ('DryRun', 'NextToken', 'nextToken')}

    def good(self, wanted, name=''):
        """A copy with SEEN filled in."""
        if wanted is SEEN:
            seen = self.known(name)
            if not seen:
                return None
            # The newest belong together.
            return seen[-1] if self.chance(0.7) else self.random.choice(seen)
        if isinstance(wanted, dict):
            filled = {key: self.good(value, key) for key, value in wanted.items()}
            return {key: value for key, value in filled.items() if value is not None}
        if wanted == [SEEN, SEEN]:
            return list(self.known(name))[-2:]
        if isinstance(wanted, list):
            return [one for one in (self.good(value, name) for value in wanted) if one is not None]
        return wanted

    def change(self, value, shape, name=''):
        """Change one thing in a tree of parameters."""
        kind = shape.type_name
        if kind == 'structure' and isinstance(value, dict) and value and self.chance(0.9):
            key = self.random.choice(list(value))
            if key not in shape.members or self.chance(0.1):
                return {one: value[one] for one in value if one != key}
            if self.chance(0.25):
                key = self.random.choice(list(shape.members))
            return {**value, key: self.change(value[key], shape.members[key], key) if key in value
                    else self.value(shape.members[key], key, 2)}
        if kind == 'list' and isinstance(value, list) and value and self.chance(0.8):
            at = self.random.randrange(len(value))
            changed = self.change(value[at], shape.member, name)
            return [*value[:at], changed, *value[at + (0 if self.chance(0.2) else 1):]]
        if kind == 'map' and isinstance(value, dict) and value and self.chance(0.8):
            key = self.random.choice(list(value))
            return {**value, key if self.chance(0.8) else self.random.choice(TEXTS): self.change(value[key], shape.value, name)}
        if isinstance(value, str) and value and self.chance(0.5):
            at = self.random.randrange(len(value))
            return value[:at] + self.random.choice(['', *TEXTS, *'(){}[],.:*"\\ 0']) + value[at + self.random.choice([0, 1, 1, 9]):]
        return self.value(shape, name, 2)

    def parameters(self, service, operation):
        shape, good = operation.input_shape, GOOD[service].get(operation.name)
        if shape is None:
            return {}
        if good is None or self.chance(0.1):
            return self.members(shape)
        parameters = self.good(good)
        for _ in range(self.random.choice([0, 0, 1, 1, 1, 2, 3])):
            parameters = self.change(parameters, shape)
        return parameters if isinstance(parameters, dict) else {}

    def keep(self, answer, made, name=''):
        """Remember the texts of an answer under their members' names; what was made is the newest."""
        if isinstance(answer, dict):
            for key, value in answer.items():
                self.keep(value, made, key)
        elif isinstance(answer, list):
            for value in answer[:20]:
                self.keep(value, made, name)
        elif isinstance(answer, str) and 0 < len(answer) < 300 and answer != 'local':
            seen = self.seen[self.kind(name)]
            if answer not in seen:
                (seen.append if made else seen.appendleft)(answer)

    def found(self):
        for service, name, changes in FOUNDATION:
            client = self.clients[service]
            self.call(service, client.meta.service_model.operation_model(name), {**self.good(GOOD[service].get(name, {})), **changes})

    def call_any(self):
        service, operation = self.random.choice(self.good_ones if self.chance(0.7) else self.operations)
        self.call(service, operation, self.parameters(service, operation))

    def on_send(self, **_):
        self.sent = True

    def call(self, service, operation, parameters):
        client, begin, self.sent = self.clients[service], time.monotonic(), False
        said = f'{service} {operation.name} {parameters}'[:3000]
        try:
            answer = client._make_api_call(operation.name, parameters)
            del answer['ResponseMetadata']
            self.keep(answer, operation.name in GOOD[service])
            self.succeeded[service] += 1
        except botocore.exceptions.ClientError as error:
            status = error.response['ResponseMetadata']['HTTPStatusCode']
            assert error.response['Error']['Code'] and status < 500, f'{said}: {error}'
        except Exception as error:
            # botocore could not write it down; an answer that it cannot read, or none, is musterd's fault.
            assert not self.sent, f'{said}: {type(error)} {error}'
        assert time.monotonic() - begin < 10, f'{said}: took {time.monotonic() - begin:.1f} s'


def answers(caller, calls):
    """Makes so many calls; the daemon lives through them, ends soundly, and starts on what it stored."""
    muster = caller.muster
    for at in range(calls):
        if at % 500 == 0:
            caller.found()
        caller.call_any()
        assert muster.process.poll() is None, f'call {at}: the daemon ended with {muster.process.returncode}'
    muster.stop_sound()
    muster.start()
    assert muster.client('sts').get_caller_identity()['Account']
    muster.stop_sound()


@pytest.mark.random
def test_any_call_is_answered(tmp_path):
    calls, seed = int(os.environ.get('MUSTER_CALLS', 10000)), int(os.environ.get('MUSTER_SEED', 1))
    print(f'MUSTER_SEED={seed} MUSTER_CALLS={calls}')
    for muster in daemon.fresh(tmp_path, ['--compute', 'sim', '--time-scale', '20']):
        caller = Caller(muster, seed)
        answers(caller, calls)
        assert all(caller.succeeded[service] > 0 for service in SERVICES), caller.succeeded
