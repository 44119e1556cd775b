/* A request line, header lines and a body: parsing and checking its signature never go wrong, and
 * what our own signer signs, our verifier accepts. */
#include "base/macros.h"
#include "wire/sigv4.h"

#include <string.h>

#define NOW_MS 1767323045000 /* 2026-01-02T03:04:05Z */

struct input {
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request request;
};

static void split_header(struct input *input, struct slice line)
{
    size_t colon = slice_find(line, ':');

    if (input->request.header_count < SIGV4_HEADERS_MAX - 3 && colon > 0 && colon < line.bytes) {
        input->headers[input->request.header_count++] = (struct sigv4_header){
            slice_sub(line, 0, colon), slice_trim(slice_sub(line, colon + 1, line.bytes))};
    }
}

/* "METHOD TARGET", header lines, an empty line, the body. */
static void split(struct slice text, struct input *input)
{
    struct slice line = SLICE_EMPTY, target;
    size_t mark;

    slice_next(&text, '\n', &line);
    input->request.headers = input->headers;
    mark = slice_find(line, ' ');
    input->request.method = slice_sub(line, 0, mark);
    target = slice_sub(line, mark + 1, line.bytes);
    mark = slice_find(target, '?');
    input->request.path = mark == 0 ? SLICE_LIT("/") : slice_sub(target, 0, mark);
    input->request.query = slice_sub(target, mark + 1, target.bytes);
    while (slice_next(&text, '\n', &line) && line.bytes > 0) {
        split_header(input, line);
    }
    input->request.body = text;
}

static void verify_as_sent(const struct input *input)
{
    struct sigv4_claim claim;
    struct error err;

    if (sigv4_parse(&input->request, &claim, &err) == 0) {
        sigv4_check_time(&claim, NOW_MS, 300000, &err);
        sigv4_verify(&input->request, &claim, SLICE_LIT("secret"), &err);
    }
}

static bool is_named(const struct sigv4_header *header, const char *name)
{
    return slice_equal_case(header->name, slice_z(name));
}

/* Only what the signer's contract promises to carry: its own headers once, no foreign hash. */
static void sign_and_verify(struct input *input)
{
    static const char *const reserved[] = {"authorization", "host", "x-amz-date", "date",
                                           "x-amz-content-sha256"};
    struct sigv4_request *request = &input->request;
    struct buf authorization = {0};
    struct sigv4_claim claim;
    struct error err = {0};
    size_t kept = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        bool own = false;

        for (size_t k = 0; k < COUNT_OF(reserved); k++) {
            own |= is_named(&input->headers[i], reserved[k]);
        }
        for (size_t k = 0; k < input->headers[i].name.bytes; k++) {
            own |= strchr(" \t\r\n;,=", input->headers[i].name.data[k]) != NULL;
        }
        if (!own) {
            input->headers[kept++] = input->headers[i];
        }
    }
    request->query = SLICE_EMPTY; /* A presigned one would be a second form of signature. */
    input->headers[kept++] = (struct sigv4_header){SLICE_LIT("host"), SLICE_LIT("a.example")};
    input->headers[kept++] =
        (struct sigv4_header){SLICE_LIT("x-amz-date"), SLICE_LIT("20260102T030405Z")};
    request->header_count = kept;
    sigv4_sign(request, SLICE_LIT("AKIDEXAMPLE"), SLICE_LIT("secret"), SLICE_LIT("us-east-2"),
               SLICE_LIT("dynamodb"), NOW_MS, &authorization);
    input->headers[request->header_count++] =
        (struct sigv4_header){SLICE_LIT("Authorization"), buf_slice(&authorization)};
    ASSERT(sigv4_parse(request, &claim, &err) == 0);
    ASSERT(sigv4_check_time(&claim, NOW_MS, 300000, &err) == 0);
    ASSERT(sigv4_verify(request, &claim, SLICE_LIT("secret"), &err) == 0);
    ASSERT(sigv4_verify(request, &claim, SLICE_LIT("another"), &err) != 0);
    buf_close(&authorization);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input input = {0};

    split(slice_of((const char *)data, bytes), &input);
    verify_as_sent(&input);
    sign_and_verify(&input);
    return 0;
}
