"""Real instances, from the call that asks for them to their first answer. Needs root: it makes containers."""
import contextlib
import http.client
import os
import pathlib
import re
import socket
import sys
import time

import common

sys.path.insert(0, str(common.ROOT / 'tests/e2e'))
os.environ['MUSTER_BUILD'] = str(common.BUILD)
import daemon  # noqa: E402
import stack  # noqa: E402

PORT = 8000


def answers(address, port=PORT, host=None):
    """The body of a 200, which names the instance, or None; one try.

    It gives up before TCP would ask again: what is sent to an instance that has no address yet is lost.
    """
    with contextlib.closing(http.client.HTTPConnection(address, port, timeout=0.2)) as connection:
        try:
            connection.request('GET', '/gtg?details=true', headers={'Host': host} if host else {})
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None


def let_all_in(ec2, group, port):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])


def open_group(ec2, name, port):
    """A new security group of the default VPC."""
    group = ec2.create_security_group(GroupName=name, Description=name)['GroupId']
    let_all_in(ec2, group, port)
    return group


class Instances:
    """Instances started by RunInstances with what the stack's group gives its own."""

    def __init__(self, muster, made):
        self.ec2 = muster.client('ec2')
        self.template = made.group()['LaunchTemplate']['LaunchTemplateId']
        data = self.ec2.describe_launch_template_versions(LaunchTemplateId=self.template, Versions=['$Latest'])
        self.interface = data['LaunchTemplateVersions'][0]['LaunchTemplateData']['NetworkInterfaces'][0]
        self.interface['SubnetId'] = made.outputs['BuildSubnetId']
        let_all_in(self.ec2, self.interface['Groups'][0], PORT)

    def start(self, image):
        """Run one; its id."""
        return self.ec2.run_instances(
            LaunchTemplate={'LaunchTemplateId': self.template}, ImageId=image, NetworkInterfaces=[self.interface],
            MinCount=1, MaxCount=1)['Instances'][0]['InstanceId']

    def described(self, ids):
        pages = self.ec2.get_paginator('describe_instances').paginate(InstanceIds=list(ids))
        return [one for page in pages for reservation in page['Reservations'] for one in reservation['Instances']]

    def address(self, instance):
        """Its public one, as soon as it has one."""
        return daemon.wait(lambda: self.described([instance])[0].get('PublicIpAddress'), 'an address', 30, 0.003)

    def end(self, instance):
        self.ec2.terminate_instances(InstanceIds=[instance])
        daemon.wait(lambda: self.described([instance])[0]['State']['Name'] == 'terminated', 'it to end', 60)

    def first_answer_s(self, image):
        begin = time.monotonic()
        instance = self.start(image)
        address = self.address(instance)
        daemon.wait(lambda: answers(address), f'{address} to answer', 60, 0.002)
        took = time.monotonic() - begin
        self.end(instance)
        return took


def processes(muster):
    """The warden and musterd, which it starts."""
    children = pathlib.Path(f'/proc/{muster.process.pid}/task/{muster.process.pid}/children').read_text().split()
    return [muster.process.pid, *(int(pid) for pid in children
                                  if pathlib.Path(f'/proc/{pid}/comm').read_text().strip() == 'musterd')]


def cpu_s(pids):
    """Their CPU time so far, to the nanosecond, and that of children which ended."""
    total = 0
    for proc in (pathlib.Path(f'/proc/{pid}') for pid in pids):
        ended = (proc / 'stat').read_text().rpartition(')')[2].split()[13:15]
        total += sum(map(int, ended)) / common.CLOCK_TICKS
        total += sum(int(thread.read_text().split()[0]) for thread in proc.glob('task/*/schedstat')) / 1e9
    return total


def memory_mib(pids):
    texts = [pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text() for pid in pids]
    return sum(int(re.search(r'^Pss:\s+(\d+)', text, re.M).group(1)) for text in texts) / 1024


def at_rest(bench, muster):
    window_s = 10 if bench.quick else 60
    time.sleep(1 if bench.quick else 20)  # What came up settles.
    pids, costs = processes(muster), []
    for _ in range(bench.rounds):
        busy, begin = cpu_s(pids), time.monotonic()
        time.sleep(window_s)
        costs.append((cpu_s(pids) - busy) / (time.monotonic() - begin) * 100)
    bench.table.add('At rest with the candidates stack: CPU of musterd and warden', costs, '% of a core', goal='< 1')
    bench.table.add('At rest with the candidates stack: memory of both', [memory_mib(pids)], 'MiB', goal='< 15')


def one_more(bench, muster, made, instances):
    """Desired + 1: its boot, and how long from there until the load balancer sends it a request."""
    autoscaling, elbv2 = muster.client('autoscaling'), muster.client('elbv2')
    interval_s = elbv2.describe_target_groups(TargetGroupArns=[made.outputs['TargetGroupArn']])['TargetGroups'][0][
        'HealthCheckIntervalSeconds']
    name = made.outputs['AutoScalingGroupName']
    host = made.url.split('//')[1]
    address = socket.gethostbyname(host)
    booted, beyond = [], []
    for _ in range(bench.rounds):
        before = set(made.in_service())
        begin = time.monotonic()
        autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=len(before) + 1)
        new = daemon.wait(lambda: {i['InstanceId'] for i in made.group()['Instances']} - before, 'a new instance', 30, 0.01).pop()
        own = instances.address(new)
        daemon.wait(lambda: answers(own), 'it to answer', 60, 0.002)
        booted.append(time.monotonic() - begin)
        daemon.wait(lambda: new in (answers(address, 80, host) or ''), 'traffic', 120, 0.01)
        beyond.append(time.monotonic() - begin - booted[-1])
        autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=len(before))
        made.healthy(len(before))
    bench.table.add('Desired + 1: until the new instance answers', booted, 's')
    bench.table.add('Desired + 1: from there to its first request by the load balancer', beyond, 's', goal=f'< {interval_s + 1}',
                    note=f'(a health check each {interval_s} s)')


def many(bench, muster, instances, count, image, goal, what):
    """`count` at once as a group of the default VPC, behind a load balancer of its own."""
    autoscaling, ec2, elbv2, cloudwatch = (muster.client(name) for name in ('autoscaling', 'ec2', 'elbv2', 'cloudwatch'))
    subnets = [one['SubnetId'] for one in ec2.describe_subnets(Filters=[{'Name': 'default-for-az', 'Values': ['true']}])['Subnets']]
    name = f'bench-{count}'
    target_group = elbv2.create_target_group(
        Name=name, Protocol='HTTP', Port=PORT, VpcId=ec2.describe_vpcs(Filters=[{'Name': 'is-default', 'Values': ['true']}])[
            'Vpcs'][0]['VpcId'], HealthCheckPath='/gtg', HealthCheckIntervalSeconds=10)['TargetGroups'][0]['TargetGroupArn']
    balancer = elbv2.create_load_balancer(
        Name=name, Subnets=subnets, SecurityGroups=[open_group(ec2, f'{name}-balancer', 80)])['LoadBalancers'][0]
    elbv2.create_listener(LoadBalancerArn=balancer['LoadBalancerArn'], Protocol='HTTP', Port=80,
                          DefaultActions=[{'Type': 'forward', 'TargetGroupArn': target_group}])
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={
        'ImageId': image, 'InstanceType': 't2.micro', 'Monitoring': {'Enabled': True},
        'SecurityGroupIds': [open_group(ec2, name, PORT)]})
    begin = time.monotonic()
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=count, DesiredCapacity=count, TargetGroupARNs=[target_group],
        VPCZoneIdentifier=','.join(subnets), LaunchTemplate={'LaunchTemplateName': name})

    def in_group():
        return autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])['AutoScalingGroups'][0]['Instances']

    def in_service():
        return sum(one['LifecycleState'] == 'InService' for one in in_group()) == count
    took = {}
    daemon.wait(in_service, f'{count} in service', 300, 0.05)
    took['all in service'] = time.monotonic() - begin
    addresses = {one['PublicIpAddress'] for one in instances.described(one['InstanceId'] for one in in_group())}

    def all_answered():
        addresses.difference_update([address for address in addresses if answers(address)])
        return not addresses
    daemon.wait(all_answered, f'{count} to answer', 120, 0.01)
    took['all have answered'] = time.monotonic() - begin

    def healthy():
        found = elbv2.describe_target_health(TargetGroupArn=target_group)['TargetHealthDescriptions']
        return sum(one['TargetHealth']['State'] == 'healthy' for one in found) == count
    daemon.wait(healthy, f'{count} healthy', 300, 0.05)
    took['all healthy'] = time.monotonic() - begin

    def measured():
        pages = cloudwatch.get_paginator('list_metrics').paginate(Namespace='AWS/EC2', MetricName='CPUUtilization')
        ids = {dimension['Value'] for page in pages for metric in page['Metrics'] for dimension in metric['Dimensions']}
        return all(one['InstanceId'] in ids for one in in_group())
    daemon.wait(measured, 'CPU metrics of all', 180, 0.5)
    took['all with a CPU metric'] = time.monotonic() - begin
    for until, seconds in took.items():
        bench.table.add(f'{count} {what} at once: {until}', [seconds], 's', goal=goal.get(until, ''))
    pids = processes(muster)
    busy, begin = cpu_s(pids), time.monotonic()
    time.sleep(10)
    bench.table.add(f'{count} {what}: CPU of musterd and warden', [(cpu_s(pids) - busy) / (time.monotonic() - begin) * 100],
                    '% of a core')
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
    elbv2.delete_load_balancer(LoadBalancerArn=balancer['LoadBalancerArn'])
    daemon.wait(lambda: not autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])['AutoScalingGroups'],
                'the group to go', 300, 0.5)


def run(bench):
    if os.geteuid() != 0:
        print('    left out: it makes containers, and needs root')
        return
    bench.directory.chmod(0o755)  # musterd has a user of its own.
    muster = bench.stack.enter_context(contextlib.contextmanager(daemon.fresh)(bench.directory, ['--compute', 'lxc']))
    made = stack.Stack(muster, bench.directory).made()
    at_rest(bench, muster)
    instances = Instances(muster, made)
    one_more(bench, muster, made, instances)
    small = made.bake('small', '--as-init')
    times = 2 if bench.quick else 20
    for what, image, goal in (('', made.image, '< 2.5'), (', the service as init', small, '< 0.3')):
        bench.table.add(f'RunInstances until the first 200{what}', [instances.first_answer_s(image) for _ in range(times)], 's',
                        goal=goal)
    muster.client('autoscaling').update_auto_scaling_group(  # All 200 that an account may run are for the last.
        AutoScalingGroupName=made.outputs['AutoScalingGroupName'], MinSize=0, DesiredCapacity=0)
    many(bench, muster, instances, 4 if bench.quick else 20, made.image, {'all in service': '< 10'}, 'instances')
    many(bench, muster, instances, 8 if bench.quick else 200, small, {}, 'small instances')
    bench.table.notes.append(f'The first 200: medians of {times}; many at once: once. Memory is what they have for themselves and '
                             'their share of what they share.')
