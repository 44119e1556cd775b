"""Run many commands of the AWS CLI in one process, for starting it anew takes most of a second each.

A line of standard input is a JSON list of arguments; a line of standard output is [exit status, output, errors]. Waiters
ask every 0.2 s, not every 15 or 30; all else is the CLI's own.
"""
import io
import json
import sys
import time

from awscli.clidriver import create_clidriver

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.2))


def run(driver, arguments):
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding='utf-8', write_through=True) for _ in 'oe')
    try:
        status = driver.main(arguments)
    except SystemExit as end:
        status = end.code
    finally:
        output, errors = (stream.buffer.getvalue().decode() for stream in (sys.stdout, sys.stderr))
        sys.stdout, sys.stderr = kept
    return [status, output, errors]


driver = create_clidriver()
for line in sys.stdin:
    print(json.dumps(run(driver, json.loads(line))), flush=True)
