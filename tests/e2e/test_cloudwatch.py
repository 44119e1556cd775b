"""CloudWatch by boto3 and by the CLI: metrics in, statistics out, alarms by the clock."""
import datetime
import json

import botocore.exceptions
import pytest

import daemon

UTC = datetime.timezone.utc


@pytest.fixture(scope='module')
def cloudwatch(fast_sim):
    return fast_sim.client('cloudwatch')


def refused(call, code, text, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response['Error']['Code'] == code
    assert text in caught.value.response['Error']['Message']


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
    refused(put, 'InvalidParameterValue', 'is invalid', Namespace='Test/Bad',
            MetricData=[{'MetricName': 'X', 'Value': float('nan')}])
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
