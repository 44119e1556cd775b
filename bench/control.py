"""The control plane, on the model of containers: how soon it answers, what it costs at rest, a large describe."""
import http.client
import shutil
import subprocess
import time

import common

GROUPS, INSTANCES = 100, 20


def groups(client, ec2, count, size):
    """Groups of instances, as many here as at the peer."""
    image = ec2.describe_images()['Images'][0]['ImageId']
    ec2.create_launch_template(LaunchTemplateName='bench', LaunchTemplateData={'ImageId': image, 'InstanceType': 't2.micro'})
    for number in range(count):
        client.create_auto_scaling_group(
            AutoScalingGroupName=f'group-{number:04d}', MinSize=0, MaxSize=size, DesiredCapacity=size,
            AvailabilityZones=[f'{common.REGION}a', f'{common.REGION}b'],
            LaunchTemplate={'LaunchTemplateName': 'bench'})


def all_groups(client):
    pages = client.get_paginator('describe_auto_scaling_groups').paginate(PaginationConfig={'PageSize': 100})
    return [group for page in pages for group in page['AutoScalingGroups']]


def first_answer_ms(state):
    """From exec to the first answer on the API's port."""
    port = common.free_port()
    begin = time.monotonic()
    process = subprocess.Popen([common.BUILD / 'src/musterd/musterd', '--compute', 'sim', '--state-dir', state, '--listen',
                                f'127.0.0.1:{port}'], env=common.clean_environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        while True:
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
            try:
                connection.request('GET', '/_muster/about')
                connection.getresponse().read()
                return (time.monotonic() - begin) * 1000
            except ConnectionRefusedError:
                time.sleep(0.001)
            finally:
                connection.close()
    finally:
        process.terminate()
        process.wait()


def empty_state(bench):
    state = bench.directory / 'empty'
    shutil.rmtree(state, ignore_errors=True)
    return state


def run(bench):
    count, size = (10, 5) if bench.quick else (GROUPS, INSTANCES)
    ours, moto = bench.musterd(), bench.moto()
    at_rest_mib = ours.memory_kib() / 1024
    clients = {}
    for name, server in (('ours', ours), ('theirs', moto)):
        clients[name] = bench.client(server, 'autoscaling')
        groups(clients[name], bench.client(server, 'ec2'), count, size)
        common.wait(lambda: sum(i['LifecycleState'] == 'InService' for g in all_groups(clients[name])
                                for i in g['Instances']) == count * size, f'{name}: all in service', 180)

    def describe(name):
        begin, done = time.monotonic(), 0
        while done == 0 or time.monotonic() - begin < bench.seconds:
            body = common.raw_describe(clients[name])
            done += 1
            if body.count(b'<LifecycleState>InService') != min(count, 100) * size:
                raise RuntimeError(f'{name} described {body.count(b"<LifecycleState>InService")} instances')
        return done / (time.monotonic() - begin)

    results = bench.in_turns(**{name: lambda n=name: describe(n) for name in clients})
    bench.table.add(f'DescribeAutoScalingGroups, {count} groups of {size}', results['ours'], '/s', 'moto', results['theirs'],
                    goal='50')
    busy = ours.cpu_s()
    time.sleep(5)
    bench.table.add(f'CPU at rest with {count * size:,} instances', [(ours.cpu_s() - busy) / 5 * 100], '% of a core')
    store_clients = bench.client(ours, 'cloudwatch')
    alarms = 50 if bench.quick else 2000
    for number in range(alarms):
        store_clients.put_metric_alarm(AlarmName=f'alarm-{number}', Namespace='n', MetricName='m', Period=60,
                                       EvaluationPeriods=1, Threshold=1, Statistic='Average',
                                       ComparisonOperator='GreaterThanThreshold')
    bench.make_table(ours)
    items = 1000 if bench.quick else 100000
    common.put_many(ours, (f'c{i:08d}' for i in range(items)), lambda key: {'CandidateName': {'S': key}})
    ours.stop()
    bench.table.add('First answer after exec, empty state', [first_answer_ms(empty_state(bench)) for _ in range(
        bench.rounds)], 'ms', goal='< 50')
    bench.table.add(f'First answer after exec, {count} groups, {count * size:,} instances, {alarms:,} alarms, {items:,} items',
                    [first_answer_ms(ours.state) for _ in range(bench.rounds)], 'ms', goal='< 300')
    bench.table.add('Memory of musterd at the start', [at_rest_mib], 'MiB', goal='< 15')
