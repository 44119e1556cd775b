"""deploy/stack.yaml for real: it serves, heals, grows and shrinks, and survives us."""
import collections
import datetime
import json
import threading
import time

import pytest
from botocore.exceptions import ClientError

from daemon import wait
from stack import get

pytestmark = pytest.mark.lxc


class Visitors:
    """Somebody who asks all the while; counts the answers by status, notes when they were bad."""

    def __init__(self, url, clients=4):
        self.url, self.answers, self.over = url, collections.Counter(), threading.Event()
        self.bad = []
        self.threads = [threading.Thread(target=self._visit) for _ in range(clients)]

    def _visit(self):
        while not self.over.is_set():
            try:
                answer = get(f'{self.url}/gtg')
            except OSError as failure:
                answer = failure, ''
            self.answers[answer[0]] += 1
            if answer[0] != 200:
                self.bad.append((datetime.datetime.utcnow().isoformat(), *answer))
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_both_instances_answer_in_turn(stack):
    answers = [json.loads(get(f'{stack.url}/gtg?details=true')[1]) for _ in range(4)]
    assert {a['instance-id'] for a in answers} == set(stack.in_service())
    assert all(a['connected'] == 'true' for a in answers)
    assert len({i['AvailabilityZone'] for i in stack.group()['Instances']}) == 2


def test_candidates_are_kept(stack):
    assert get(f'{stack.url}/candidate/Ada', method='POST') == (200, '{"CandidateName":"Ada"}')
    assert get(f'{stack.url}/candidate/Ada') == (200, '[{"CandidateName":"Ada"}]')
    assert {'CandidateName': 'Ada'} in json.loads(get(f'{stack.url}/candidates')[1])
    assert get(f'{stack.url}/candidate/Nobody') == (404, 'Not Found')
    assert get(f'{stack.url}/') == (400, '{"status":"invalid request"}')
    items = stack.muster.client('dynamodb').scan(TableName='Candidates')['Items']
    assert {'CandidateName': {'S': 'Ada'}} in items


def test_the_load_balancer_tells_cloudwatch_of_every_request(stack):
    """Health checks are none."""
    balancers = stack.muster.client('elbv2').describe_load_balancers()['LoadBalancers']
    [balancer] = [b for b in balancers if stack.url.endswith(b['DNSName'])]
    dimensions = [{'Name': 'LoadBalancer', 'Value': balancer['LoadBalancerArn'].split('loadbalancer/')[1]}]
    cloudwatch = stack.muster.client('cloudwatch')

    since = datetime.datetime.utcnow() - datetime.timedelta(hours=1)

    def total(metric):
        points = cloudwatch.get_metric_statistics(
            Namespace='AWS/ApplicationELB', MetricName=metric, Dimensions=dimensions, Period=60,
            Statistics=['Sum'], StartTime=since, EndTime=since + datetime.timedelta(hours=12))['Datapoints']
        return sum(point['Sum'] for point in points)

    names = 'RequestCount', 'HTTPCode_Target_2XX_Count', 'HTTPCode_Target_4XX_Count'
    seen = [None]

    def settled():
        """What the tests before asked is counted, too: nothing came in a second."""
        seen.append([total(name) for name in names])
        return seen[-1] == seen[-2] and seen[-1]

    before = wait(settled, 'counts that rest', every=1)
    for _ in range(20):
        get(f'{stack.url}/gtg')
    for _ in range(5):
        get(f'{stack.url}/candidate/Nobody')
    wait(lambda: [total(n) - b for n, b in zip(names, before)] == [25, 20, 5], 'every request counted once')
    healthy = [m for m in cloudwatch.list_metrics(Namespace='AWS/ApplicationELB',
                                                  MetricName='HealthyHostCount')['Metrics']]
    assert {'LoadBalancer': dimensions[0]['Value']}.items() <= {
        d['Name']: d['Value'] for m in healthy for d in m['Dimensions'] if dimensions[0] in m['Dimensions']}.items()


def test_instances_may_do_what_their_role_says(stack):
    instance = stack.in_service()[0]
    role = json.loads(stack.output(instance, '''
        api=http://169.254.169.254/latest
        token=$(curl -sf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" $api/api/token)
        ask() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$api/meta-data/iam/security-credentials/$1"; }
        ask "$(ask "")"'''))
    client = stack.muster.client('dynamodb', role['AccessKeyId'], role['SecretAccessKey'], role['Token'])
    client.put_item(TableName='Candidates', Item={'CandidateName': {'S': 'Grace'}})
    with pytest.raises(ClientError) as caught:
        client.delete_item(TableName='Candidates', Key={'CandidateName': {'S': 'Grace'}})
    assert caught.value.response['Error']['Code'] == 'AccessDeniedException'


def test_a_second_run_of_the_template_changes_nothing(stack):
    with pytest.raises(ClientError) as caught:
        stack.muster.client('cloudformation').update_stack(
            StackName=stack.name, UsePreviousTemplate=True, Capabilities=['CAPABILITY_IAM'],
            Parameters=[{'ParameterKey': key, 'UsePreviousValue': True}
                        for key in ('ImageId', 'MinSize', 'DesiredCapacity')])
    assert caught.value.response['Error']['Message'] == 'No updates are to be performed.'


def test_the_daemon_may_die_and_nobody_notices(stack):
    """kill -9 of musterd: the warden starts another, the load balancer goes on."""
    before = sorted(stack.in_service())
    with Visitors(stack.url) as visitors:
        stack.muster.kill_musterd()
        stack.healthy(2)
    assert sorted(stack.in_service()) == before
    assert set(visitors.answers) == {200}, (visitors.bad[:3], visitors.bad[-1], stack.muster.log_lines(200))
    assert get(f'{stack.url}/candidate/Ada')[0] == 200


def test_the_group_grows_under_load_and_shrinks_after_it(stack):
    sizes, stressed = [2], set()

    def size():
        now = stack.in_service()
        if len(now) == stack.group()['DesiredCapacity'] and len(now) != sizes[-1]:
            sizes.append(len(now))
        return len(now)

    def grown():
        fresh = set(stack.in_service()) & stack.managed() - stressed
        if fresh:
            stack.run(fresh, 'stress --cpu 1 --timeout 120s')
            stressed.update(fresh)
        return size() == 4

    began = len(stack.activities())
    with Visitors(stack.url) as visitors:
        wait(grown, 'four instances', 120, 0.3)
        stack.healthy(4)
        stack.run(stressed, 'pkill stress')
        wait(lambda: size() == 2, 'two instances again', 150, 0.3)
    assert sizes == [2, 3, 4, 3, 2]
    assert set(visitors.answers) == {200}, (visitors.bad[:3], visitors.bad[-1], stack.muster.log_lines(200))
    assert visitors.answers[200] > 1000
    causes = [a['Cause'] for a in stack.activities()[began:]]
    for cause, alarm, old, new in zip(causes, ('high', 'high', 'low', 'low'), (2, 3, 4, 3), (3, 4, 3, 2)):
        assert f'a monitor alarm candidates-cpu-{alarm} in state ALARM triggered policy' in cause
        assert f'changing the desired capacity from {old} to {new}.' in cause
    wait(lambda: len(stack.targets()) == 2, 'draining to end', 60)


def test_a_dead_service_is_found_and_its_instance_replaced(stack):
    before = set(stack.healthy(2))
    victim = sorted(before)[0]
    stack.run([victim], 'rm /usr/bin/candidate; pkill -9 -x candidate')
    wait(lambda: stack.targets().get(victim, {}).get('State') != 'healthy', 'it to be noticed', 60)
    wait(lambda: victim not in [i['InstanceId'] for i in stack.group()['Instances']], 'it to go', 60)
    after = set(stack.healthy(2))
    assert before - after == {victim}
    told = [a for a in stack.activities() if victim in a['Description']][-1]
    assert told['Description'] == f'Terminating EC2 instance: {victim}'
    assert 'was taken out of service in response to an ELB system health check failure.' in told['Cause']
