"""deploy/stack.yaml on real containers, in its three phases, by AWS's own client."""
import subprocess
import urllib.error
import urllib.request

import daemon
from daemon import wait

BASE_IMAGE = 'ami-0deb1a12000000000'
TEMPLATE = daemon.ROOT / 'deploy' / 'stack.yaml'
PACKER = daemon.ROOT / 'deploy' / 'packer'


class Ssh:
    """A key pair, and commands by ssh as user admin."""

    def __init__(self, muster, name, directory):
        self.name, self.file = name, directory / f'{name}.pem'
        self.file.write_text(muster.client('ec2').create_key_pair(KeyName=name)['KeyMaterial'])
        self.file.chmod(0o600)
        self.options = ['-i', str(self.file), '-o', 'StrictHostKeyChecking=no', '-o',
                        'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=3']

    def run(self, address, command, check=True):
        done = subprocess.run(['ssh', *self.options, f'admin@{address}', command], text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
        return done if not check else done.stdout.strip()

    def ready(self, address):
        """Wait until sshd answers."""
        wait(lambda: self.run(address, 'true', check=False).returncode == 0, f'ssh on {address}', 30, 0.2)
        return address

    def copy(self, address, *files):
        subprocess.run(['scp', *self.options, *map(str, files), f'admin@{address}:/tmp/'], check=True,
                       timeout=60, capture_output=True)


def describe(muster, instance):
    return muster.client('ec2').describe_instances(
        InstanceIds=[instance])['Reservations'][0]['Instances'][0]


def in_state(muster, instance, state):
    wait(lambda: describe(muster, instance)['State']['Name'] == state, f'{instance} to be {state}', 30)
    return describe(muster, instance)


def image_of(muster, instance, name):
    """An available image of the instance."""
    ec2 = muster.client('ec2')
    image = ec2.create_image(InstanceId=instance, Name=name)['ImageId']
    wait(lambda: ec2.describe_images(ImageIds=[image])['Images'][0]['State'] == 'available', image, 60)
    return image


def bake(muster, directory, name, option='', subnet=None):
    """The service in an image, made over ssh as Packer does; option: bake.sh's."""
    ec2 = muster.client('ec2')
    ssh = Ssh(muster, f'bake-{name}', directory)
    vpc = {'VpcId': ec2.describe_subnets(SubnetIds=[subnet])['Subnets'][0]['VpcId']} if subnet else {}
    group = ec2.create_security_group(GroupName=ssh.name, Description='ssh', **vpc)['GroupId']
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    builder = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=1, MaxCount=1, KeyName=ssh.name,
                                SecurityGroupIds=[group],
                                **({'SubnetId': subnet} if subnet else {}))['Instances'][0]['InstanceId']
    address = ssh.ready(in_state(muster, builder, 'running')['PublicIpAddress'])
    ssh.copy(address, daemon.binary('candidate'), PACKER / 'bake.sh', PACKER / 'candidate.service')
    ssh.run(address, f'cd /tmp && sudo sh bake.sh {option}')
    image = image_of(muster, builder, name)
    ec2.terminate_instances(InstanceIds=[builder])
    in_state(muster, builder, 'terminated')
    ec2.delete_security_group(GroupId=group)
    ec2.delete_key_pair(KeyName=ssh.name)
    return image


def get(url, timeout=10, method='GET'):
    """Status and text of an answer."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


class Stack:
    """The candidates stack: made(), its outputs, and what one asks of it again and again."""

    name = 'candidates'

    def __init__(self, muster, directory):
        self.muster, self.directory = muster, directory
        self.outputs = {}

    def _settle(self, wanted):
        cloudformation = self.muster.client('cloudformation')

        def settled():
            stack = cloudformation.describe_stacks(StackName=self.name)['Stacks'][0]
            return stack if not stack['StackStatus'].endswith('_IN_PROGRESS') else None
        stack = wait(settled, 'the stack to settle', 120, 0.2)
        failed = [(e['LogicalResourceId'], e.get('ResourceStatusReason')) for e in
                  cloudformation.describe_stack_events(StackName=self.name)['StackEvents']
                  if e['ResourceStatus'].endswith('_FAILED')]
        assert stack['StackStatus'] == wanted, failed
        self.outputs = {o['OutputKey']: o['OutputValue'] for o in stack.get('Outputs', [])}

    def _request(self, **parameters):
        return {'StackName': self.name, 'TemplateBody': TEMPLATE.read_text(),
                'Capabilities': ['CAPABILITY_IAM'],
                'Parameters': [{'ParameterKey': key, 'ParameterValue': str(value)}
                               for key, value in parameters.items()]}

    def made(self):
        """All three phases."""
        cloudformation = self.muster.client('cloudformation')
        cloudformation.create_stack(**self._request(ImageId=BASE_IMAGE, MinSize=0, DesiredCapacity=0))
        self._settle('CREATE_COMPLETE')
        self.image = self.bake('candidates')
        cloudformation.update_stack(**self._request(ImageId=self.image, MinSize=2, DesiredCapacity=2))
        self._settle('UPDATE_COMPLETE')
        self.healthy(2)
        return self

    def bake(self, name, option=''):
        return bake(self.muster, self.directory, name, option, self.outputs['BuildSubnetId'])

    @property
    def url(self):
        return self.outputs['Url']

    def group(self):
        return self.muster.client('autoscaling').describe_auto_scaling_groups(
            AutoScalingGroupNames=[self.outputs['AutoScalingGroupName']])['AutoScalingGroups'][0]

    def in_service(self):
        return [i['InstanceId'] for i in self.group()['Instances'] if i['LifecycleState'] == 'InService']

    def managed(self):
        """The ids of what takes commands: booted, with the role."""
        return {node['InstanceId'] for node in self.muster.client(
            'ssm').describe_instance_information()['InstanceInformationList']}

    def targets(self):
        """Target health by instance id."""
        found = self.muster.client('elbv2').describe_target_health(
            TargetGroupArn=self.outputs['TargetGroupArn'])['TargetHealthDescriptions']
        return {t['Target']['Id']: t['TargetHealth'] for t in found}

    def healthy(self, count):
        """Wait for exactly `count` instances, in service and healthy behind the load balancer."""
        def settled():
            ids, targets = self.in_service(), self.targets()
            good = {i for i, health in targets.items() if health['State'] == 'healthy'}
            return ids if len(self.group()['Instances']) == count and set(ids) == good and len(
                good) == count else None
        try:
            return wait(settled, f'{count} healthy instances', 90)
        except AssertionError as failure:
            states = [(i['InstanceId'], i['LifecycleState'], i['HealthStatus']) for i in self.group()['Instances']]
            latest = [(str(a['StartTime']), a['StatusCode'], a['Description'], a['Cause']) for a in self.activities()[-6:]]
            raise AssertionError(f'{failure}\n{states}\n{self.targets()}\n{latest}') from failure

    def activities(self):
        """Oldest first."""
        return self.muster.client('autoscaling').describe_scaling_activities(
            AutoScalingGroupName=self.outputs['AutoScalingGroupName'])['Activities'][::-1]

    def run(self, instances, script):
        """Run a script by Systems Manager; its invocations' ids are not waited for."""
        return self.muster.client('ssm').send_command(
            InstanceIds=list(instances), DocumentName='AWS-RunShellScript',
            Parameters={'commands': [script]})['Command']['CommandId']

    def output(self, instance, script):
        """The same, waited for: what it printed."""
        command, ssm = self.run([instance], script), self.muster.client('ssm')

        def over():
            got = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
            return got if got['Status'] not in ('Pending', 'InProgress') else None
        got = wait(over, script, 60)
        assert got['Status'] == 'Success', got
        return got['StandardOutputContent'].strip()
