"""The contract of `candidate`, the usual way: Flask and boto3, served by gunicorn."""
import json
import os

import boto3
import botocore.config
from boto3.dynamodb.conditions import Key
from flask import Flask, Response, request

app = Flask(__name__)
table = boto3.resource(
    'dynamodb', endpoint_url=os.environ.get('AWS_ENDPOINT_URL'),
    config=botocore.config.Config(max_pool_connections=16, proxies={})).Table(os.environ.get('TC_DYNAMO_TABLE', 'Candidates'))


def answer(value, status=200):
    return Response(json.dumps(value, default=float), status, mimetype='application/json')


@app.get('/')
def root():
    return answer({'status': 'invalid request'}, 400)


@app.get('/gtg')
def gtg():
    if 'details' in request.args:
        return answer({'connected': 'true', 'instance-id': os.environ.get('INSTANCE_ID', '')})
    return Response(status=200)


@app.get('/candidate/<name>')
def get(name):
    items = table.query(KeyConditionExpression=Key('CandidateName').eq(name))['Items']
    return answer(items) if items else Response('Not Found', 404)


@app.post('/candidate/<name>')
def post(name):
    try:
        table.put_item(Item={'CandidateName': name})
    except botocore.exceptions.ClientError:
        return Response('Unable to update', 500)
    return answer({'CandidateName': name})


@app.get('/candidates')
def scan():
    page = table.scan()
    items = page['Items']
    while 'LastEvaluatedKey' in page:
        page = table.scan(ExclusiveStartKey=page['LastEvaluatedKey'])
        items.extend(page['Items'])
    return answer(items) if items else Response('Not Found', 404)
