"""CloudWatch by boto3 and by the CLI: metrics in, statistics out, alarms by the clock."""
import datetime
import json
import struct

import botocore.exceptions
import pytest

import daemon
import test_wire

UTC = datetime.timezone.utc
pytestmark = pytest.mark.clients


@pytest.fixture(scope='module')
def cloudwatch(fast_sim):
    return fast_sim.client('cloudwatch')


def refused(call, code, text, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response['Error']['Code'] == code
    assert text in (caught.value.response['Error'].get('Message') or '')


def muster_now(cloudwatch):
    """muster's clock runs 100 times as fast: read it from what it dates."""
    cloudwatch.put_metric_alarm(**alarm('clock', namespace='None/Such'))
    now = cloudwatch.describe_alarms(AlarmNames=['clock'])['MetricAlarms'][0]
    return now['AlarmConfigurationUpdatedTimestamp']


def alarm(name, namespace, **more):
    return {'AlarmName': name, 'Namespace': namespace, 'MetricName': 'Depth', 'Statistic': 'Average',
            'Period': 10, 'EvaluationPeriods': 1, 'Threshold': 5.0,
            'ComparisonOperator': 'GreaterThanThreshold', **more}


def test_statistics_of_what_was_put(cloudwatch):
    now = muster_now(cloudwatch).replace(microsecond=0)
    dimensions = [{'Name': 'Queue', 'Value': 'a'}, {'Name': 'Host', 'Value': 'b'}]
    at = now - datetime.timedelta(seconds=60)
    cloudwatch.put_metric_data(Namespace='Test/Put', MetricData=[
        {'MetricName': 'Depth', 'Dimensions': dimensions, 'Timestamp': at, 'Value': 4.0,
         'Unit': 'Count', 'StorageResolution': 1},
        {'MetricName': 'Depth', 'Dimensions': dimensions[::-1], 'Timestamp': at, 'Unit': 'Count',
         'StorageResolution': 1,
         'StatisticValues': {'SampleCount': 2, 'Sum': 20, 'Minimum': 8, 'Maximum': 12}},
        {'MetricName': 'Depth', 'Dimensions': dimensions, 'Timestamp': at, 'Unit': 'Count',
         'StorageResolution': 1, 'Values': [1.0, 2.0], 'Counts': [3.0, 1.0]}])
    answer = cloudwatch.get_metric_statistics(
        Namespace='Test/Put', MetricName='Depth', Dimensions=dimensions, Period=60,
        StartTime=at, EndTime=now,
        Statistics=['SampleCount', 'Average', 'Sum', 'Minimum', 'Maximum'])
    assert answer['Label'] == 'Depth'
    [point] = answer['Datapoints']
    assert (point['SampleCount'], point['Sum'], point['Minimum'], point['Maximum']) == (7, 29, 1, 12)
    assert point['Average'] == pytest.approx(29 / 7)
    assert point['Unit'] == 'Count'
    assert point['Timestamp'] == at.replace(second=0)
    [metric] = cloudwatch.list_metrics(Namespace='Test/Put')['Metrics']
    assert metric['MetricName'] == 'Depth' and len(metric['Dimensions']) == 2
    data = cloudwatch.get_metric_data(StartTime=at, EndTime=now, MetricDataQueries=[
        {'Id': 'depth', 'MetricStat': {'Metric': {'Namespace': 'Test/Put', 'MetricName': 'Depth',
                                                  'Dimensions': dimensions},
                                       'Period': 60, 'Stat': 'Maximum'}}])
    assert data['MetricDataResults'][0]['Values'] == [12.0]
    # Other dimensions are another metric.
    assert cloudwatch.get_metric_statistics(
        Namespace='Test/Put', MetricName='Depth', Period=60, StartTime=at, EndTime=now,
        Statistics=['Sum'])['Datapoints'] == []


def test_bad_data_changes_nothing(cloudwatch):
    put = cloudwatch.put_metric_data
    both = {'MetricName': 'X', 'Value': 1.0, 'Values': [1.0]}
    refused(put, 'InvalidParameterCombination', 'are mutually exclusive', Namespace='Test/Bad',
            MetricData=[{'MetricName': 'Fine', 'Value': 1.0}, both])
    refused(put, 'InvalidParameterValue', 'must be of the same size', Namespace='Test/Bad',
            MetricData=[{'MetricName': 'X', 'Values': [1.0, 2.0], 'Counts': [1.0]}])
    refused(put, 'InvalidParameterValue', 'within the past two weeks', Namespace='Test/Bad',
            MetricData=[{'MetricName': 'X', 'Value': 1.0,
                         'Timestamp': datetime.datetime(2020, 1, 1, tzinfo=UTC)}])
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        put(Namespace='Test/Bad', MetricData=[{'MetricName': 'X', 'Value': float('nan')}])
    assert caught.value.response['Error']['Code'] in (
        'InvalidParameterValue', 'MalformedInput')  # In query it is the text "nan", which is no number.
    assert cloudwatch.list_metrics(Namespace='Test/Bad')['Metrics'] == []
    refused(cloudwatch.get_metric_statistics, 'InvalidParameterCombination', 'limit of 1440',
            Namespace='Test/Bad', MetricName='X', Period=1, Statistics=['Sum'],
            StartTime=datetime.datetime(2026, 1, 1), EndTime=datetime.datetime(2026, 1, 2))


def test_alarm_goes_off_and_recovers(cloudwatch):
    cloudwatch.put_metric_alarm(**alarm('deep', 'Test/Alarm', AlarmDescription='too deep',
                                        TreatMissingData='notBreaching',
                                        AlarmActions=['arn:aws:sns:us-east-2:000000000000:none']))

    def state():
        return cloudwatch.describe_alarms(AlarmNames=['deep'])['MetricAlarms'][0]

    first = state()
    assert first['StateValue'] in ('INSUFFICIENT_DATA', 'OK')
    assert first['AlarmArn'] == 'arn:aws:cloudwatch:us-east-2:000000000000:alarm:deep'
    assert 'DatapointsToAlarm' not in first and first['TreatMissingData'] == 'notBreaching'

    def breaches():
        cloudwatch.put_metric_data(Namespace='Test/Alarm', MetricData=[
            {'MetricName': 'Depth', 'Value': 7.5, 'StorageResolution': 1}])
        return state()['StateValue'] == 'ALARM'
    daemon.wait(breaches, 'the alarm', every=0.03)
    reason = cloudwatch.describe_alarm_history(
        AlarmName='deep', HistoryItemType='StateUpdate')['AlarmHistoryItems']
    words = [json.loads(item['HistoryData'])['newState'] for item in reason
             if item['HistorySummary'].endswith('to ALARM')][0]
    assert words['stateReason'].startswith('Threshold Crossed: 1 datapoint [7.5 (')
    assert words['stateReason'].endswith(')] was greater than the threshold (5.0).')
    assert words['stateReasonData']['statistic'] == 'Average'
    daemon.wait(lambda: state()['StateValue'] == 'OK', 'no alarm', every=0.05)
    history = cloudwatch.describe_alarm_history(AlarmName='deep', ScanBy='TimestampAscending')
    summaries = [item['HistorySummary'] for item in history['AlarmHistoryItems']]
    assert summaries[0] == 'Alarm "deep" created'
    # muster has no SNS: the history says so, the alarm goes on.
    assert 'Failed to execute action arn:aws:sns:us-east-2:000000000000:none' in summaries
    assert summaries[-1] == 'Alarm updated from ALARM to OK'


def test_set_alarm_state_and_the_rest(cloudwatch):
    cloudwatch.put_metric_alarm(**alarm('by hand', 'Test/Hand', Period=86400,
                                        Tags=[{'Key': 'team', 'Value': 'red'}]))
    cloudwatch.set_alarm_state(AlarmName='by hand', StateValue='ALARM', StateReason='testing')
    [shown] = cloudwatch.describe_alarms(StateValue='ALARM', AlarmNamePrefix='by')['MetricAlarms']
    assert (shown['StateReason'], shown.get('StateReasonData')) == ('testing', None)
    assert cloudwatch.list_tags_for_resource(ResourceARN=shown['AlarmArn'])['Tags'] == [
        {'Key': 'team', 'Value': 'red'}]
    cloudwatch.disable_alarm_actions(AlarmNames=['by hand'])
    assert not cloudwatch.describe_alarms(AlarmNames=['by hand'])['MetricAlarms'][0]['ActionsEnabled']
    assert len(cloudwatch.describe_alarms_for_metric(
        Namespace='Test/Hand', MetricName='Depth')['MetricAlarms']) == 1
    refused(cloudwatch.set_alarm_state, 'ResourceNotFound', '', AlarmName='none', StateValue='OK',
            StateReason='x')
    refused(cloudwatch.set_alarm_state, 'InvalidFormat', 'JSON', AlarmName='by hand',
            StateValue='OK', StateReason='x', StateReasonData='{')
    cloudwatch.delete_alarms(AlarmNames=['by hand', 'none'])
    assert cloudwatch.describe_alarms(AlarmNames=['by hand'])['MetricAlarms'] == []


def test_bad_alarms(cloudwatch):
    put = cloudwatch.put_metric_alarm
    refused(put, 'ValidationError', 'multiple of 60', **alarm('bad', 'Test', Period=45))
    refused(put, 'ValidationError', 'more than a day', **alarm('bad', 'Test', Period=1800,
                                                               EvaluationPeriods=49))
    refused(put, 'ValidationError', 'less than or equal to EvaluationPeriods',
            **alarm('bad', 'Test', DatapointsToAlarm=2))
    refused(put, 'ValidationError', 'TreatMissingData', **alarm('bad', 'Test', TreatMissingData='no'))
    missing = alarm('bad', 'Test')
    del missing['Threshold']
    refused(put, 'MissingParameter', 'Threshold', **missing)
    assert cloudwatch.describe_alarms(AlarmNames=['bad'])['MetricAlarms'] == []


def test_cli(fast_sim, cloudwatch):
    fast_sim.aws('cloudwatch', 'put-metric-data', '--namespace', 'Test/Cli', '--metric-name', 'Depth',
                 '--value', '3', '--dimensions', 'Queue=q')
    [metric] = fast_sim.aws('cloudwatch', 'list-metrics', '--namespace', 'Test/Cli')['Metrics']
    assert metric['Dimensions'] == [{'Name': 'Queue', 'Value': 'q'}]
    fast_sim.aws('cloudwatch', 'put-metric-alarm', '--alarm-name', 'cli <&>', '--namespace',
                 'Test/Cli', '--metric-name', 'Depth', '--statistic', 'Sum', '--period', '60',
                 '--evaluation-periods', '2', '--threshold', '1e9', '--comparison-operator',
                 'LessThanThreshold', '--dimensions', 'Name=Queue,Value=q')
    [shown] = fast_sim.aws('cloudwatch', 'describe-alarms', '--alarm-names', 'cli <&>')['MetricAlarms']
    assert shown['Threshold'] == 1e9
    failed = fast_sim.aws('cloudwatch', 'set-alarm-state', '--alarm-name', 'none', '--state-value',
                          'OK', '--state-reason', 'x', check=False)
    assert failed.returncode != 0 and 'ResourceNotFound' in failed.stderr


def test_metric_data_by_the_page_with_labels_that_tell_apart(fast_sim, cloudwatch):
    now = muster_now(cloudwatch).replace(second=0, microsecond=0)
    times = [now - datetime.timedelta(minutes=minute) for minute in range(5, 0, -1)]
    cloudwatch.put_metric_data(Namespace='Test/Data', MetricData=[
        {'MetricName': 'Depth', 'Timestamp': at, 'Value': float(value), 'Unit': 'Count'}
        for value, at in enumerate(times)])

    def query(name, stat, **more):
        return {'Id': name, 'MetricStat': {'Metric': {'Namespace': 'Test/Data', 'MetricName': 'Depth'},
                                           'Period': 60, 'Stat': stat}, **more}
    span = {'StartTime': times[0], 'EndTime': now, 'ScanBy': 'TimestampAscending'}
    wanted = [query('a', 'Sum'), query('b', 'Maximum'), query('c', 'Sum', Label='mine'),
              query('d', 'Sum', ReturnData=False)]
    whole = cloudwatch.get_metric_data(MetricDataQueries=wanted, **span)
    assert [(row['Id'], row['Label'], row['Values'], row['StatusCode']) for row in whole['MetricDataResults']] == [
        ('a', 'Depth Sum', [0, 1, 2, 3, 4], 'Complete'), ('b', 'Depth Maximum', [0, 1, 2, 3, 4], 'Complete'),
        ('c', 'mine', [0, 1, 2, 3, 4], 'Complete')]
    assert whole['MetricDataResults'][0]['Timestamps'] == times
    pages = list(cloudwatch.get_paginator('get_metric_data').paginate(
        MetricDataQueries=wanted, PaginationConfig={'PageSize': 4}, **span))
    assert len(pages) == 4 and pages[0]['MetricDataResults'][0]['StatusCode'] == 'PartialData'
    values = {name: [value for page in pages for row in page['MetricDataResults'] if row['Id'] == name
                     for value in row['Values']] for name in 'abc'}
    assert values == {name: [0, 1, 2, 3, 4] for name in 'abc'}
    refused(cloudwatch.get_metric_data, 'ValidationError', 'not unique', MetricDataQueries=[wanted[0]] * 2, **span)
    refused(cloudwatch.get_metric_data, 'ValidationError', 'no metric math',
            MetricDataQueries=[{'Id': 'e', 'Expression': 'a * 2'}], **span)
    for metric, missing in (({'Namespace': 'n'}, 'MetricName'), ({'MetricName': 'm'}, 'Namespace')):
        refused(cloudwatch.get_metric_data, 'ValidationError',
                f'The parameter MetricDataQueries.member.1.MetricStat.Metric.{missing} is required.', MetricDataQueries=[
                    {'Id': 'a', 'MetricStat': {'Metric': metric, 'Period': 60, 'Stat': 'Sum'}}], **span)
    refused(cloudwatch.get_metric_data, 'ValidationError', 'is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.',
            MetricDataQueries=[{**wanted[0], 'Id': 'A'}], **span)
    refused(cloudwatch.get_metric_data, 'InvalidNextToken', '', MetricDataQueries=wanted, NextToken='none', **span)


@pytest.mark.parametrize('protocol', ['json', 'cbor'])
def test_each_protocol_byte_by_byte(fast_sim, protocol):
    """What SDKs that are not here send, and what they insist on."""
    def call(action, text, cbor):
        if protocol == 'json':
            return test_wire.signed(fast_sim, 'monitoring', text, {
                'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': f'GraniteServiceVersion20100801.{action}',
                'x-amzn-query-mode': 'true'})
        return test_wire.signed(fast_sim, 'monitoring', cbor, {
            'Content-Type': 'application/cbor', 'Accept': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor',
            'x-amzn-query-mode': 'true'}, path=f'/service/GraniteServiceVersion20100801/operation/{action}')

    # Go leaves the body of a call without input empty.
    status, headers, body = call('DescribeAlarms', b'{}', b'')
    assert status == 200 and 'MetricAlarms' in body
    assert headers['Content-Type'] == {'json': 'application/x-amz-json-1.0', 'cbor': 'application/cbor'}[protocol]
    assert headers.get('smithy-protocol') == {'json': None, 'cbor': 'rpc-v2-cbor'}[protocol]
    assert headers['x-amzn-RequestId']
    # A time with fractions, a whole number where a double is meant, texts and lists without a length.
    now = muster_now(fast_sim.client('cloudwatch')).timestamp() + 0.5
    text = f'{{"Namespace":"Bytes/{protocol}","MetricData":[{{"MetricName":"M","Value":7,"Timestamp":{now}}}]}}'
    name = f'Bytes/{protocol}'.encode()
    cbor = (b'\xbf\x69Namespace\x7f' + bytes([0x60 + len(name)]) + name + b'\xff\x6aMetricData\x9f\xa3'
            b'\x6aMetricName\x61M\x65Value\x07\x69Timestamp\xc1\xfb' + struct.pack('>d', now) + b'\xff\xff')
    status, headers, body = call('PutMetricData', text.encode(), cbor)
    assert status == 200 and headers.get('x-amzn-query-error') is None, body
    [metric] = fast_sim.client('cloudwatch').list_metrics(Namespace=f'Bytes/{protocol}')['Metrics']
    assert metric['MetricName'] == 'M'
    # An error has its shape in the body and its older name in a header.
    status, headers, body = call(
        'SetAlarmState', b'{"AlarmName":"none","StateValue":"OK","StateReason":"x"}',
        b'\xa3\x69AlarmName\x64none\x6aStateValue\x62OK\x6bStateReason\x61x')
    assert status == 404 and headers['x-amzn-query-error'] == 'ResourceNotFound;Sender'
    assert '__type' in body and body.rstrip('"}').endswith('ResourceNotFound') and 'message' not in body
    status, headers, body = call('PutMetricData', b'{"MetricData":[]}', b'\xa1\x6aMetricData\x80')
    assert status == 400 and headers['x-amzn-query-error'] == 'ValidationError;Sender' and "'namespace'" in body


def test_kill_loses_nothing_acknowledged(fast_sim, cloudwatch):
    cloudwatch.put_metric_alarm(**alarm('kept', 'Test/Kept', ActionsEnabled=False))
    now = muster_now(cloudwatch)
    cloudwatch.put_metric_data(Namespace='Test/Kept', MetricData=[
        {'MetricName': 'Other', 'Value': 42.0, 'Timestamp': now}])
    fast_sim.restart()
    [shown] = cloudwatch.describe_alarms(AlarmNames=['kept'])['MetricAlarms']
    assert not shown['ActionsEnabled']
    [point] = cloudwatch.get_metric_statistics(
        Namespace='Test/Kept', MetricName='Other', Period=60, Statistics=['Maximum'],
        StartTime=now - datetime.timedelta(minutes=2),
        EndTime=now + datetime.timedelta(minutes=2))['Datapoints']
    assert point['Maximum'] == 42.0


def test_a_refused_put_takes_no_other_metric_along(fast_sim, cloudwatch):
    """An instance's new metrics wait a second for the disk; what is refused meanwhile does not touch them."""
    ec2 = fast_sim.client('ec2')
    image = ec2.describe_images()['Images'][0]['ImageId']
    instance = ec2.run_instances(ImageId=image, InstanceType='t2.micro', MinCount=1, MaxCount=1)['Instances'][0]['InstanceId']
    about = {'Namespace': 'AWS/EC2', 'MetricName': 'CPUUtilization', 'Dimensions': [{'Name': 'InstanceId', 'Value': instance}]}

    def put_badly():
        refused(cloudwatch.put_metric_data, 'InvalidParameterValue', 'Timestamp', Namespace='Test/Bad', MetricData=[
            {'MetricName': 'Bad', 'Value': 1.0, 'Timestamp': datetime.datetime(2001, 1, 1, tzinfo=UTC)}])
        return cloudwatch.list_metrics(**about)['Metrics']
    daemon.wait(put_badly, 'its first metric', every=0.01)
    put_badly()
    seen = muster_now(cloudwatch) + datetime.timedelta(seconds=60)

    def count():
        return sum(point['SampleCount'] for point in cloudwatch.get_metric_statistics(
            **about, Period=60, Statistics=['SampleCount'], StartTime=seen - datetime.timedelta(hours=1),
            EndTime=seen)['Datapoints'])
    daemon.wait(lambda: muster_now(cloudwatch) > seen + datetime.timedelta(seconds=300), 'two writes')
    before = count()
    fast_sim.restart()
    assert before > 0 and count() == before
    ec2.terminate_instances(InstanceIds=[instance])
