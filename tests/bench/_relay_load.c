/* Load for a relay: keeps a number of packets under way in each direction, on sockets that it inherits.

   Usage: _relay_load SIZE PACKETS WINDOW FLOWS DESCRIPTOR...

   For each flow there are two connected UDP sockets: the client's, whose channel 0x4000 is bound to the peer, and the
   peer's, which talks to the relayed address. PACKETS of SIZE bytes of data go each way, WINDOW of them under way at any
   time, and the flows take turns. Prints {"sent", "received", "wrong"} of both directions together: wrong are packets of
   a length that nobody has sent. What is lost is not asked again: after half a second of silence it ends. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 64, LARGEST = 2048, PATIENCE_MS = 500, HEADER = 4 };

struct direction {
    int *from;        /* descriptors that send, by flow */
    int next;         /* flow whose turn it is */
    char *start;      /* of what is sent */
    int length;       /* of what is sent */
    int expected;     /* of what arrives */
    long left;        /* packets to send */
    long sent, received, wrong;
    int credit;       /* packets that may be sent now */
};

static char payload[HEADER + LARGEST];
static char received[BATCH][LARGEST + HEADER];
static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_parts[BATCH], out_parts[BATCH];

static void transmit(struct direction *way, int flows)
{
    while (way->credit > 0 && way->left > 0) {
        int count = flows > 1 ? 1 : way->credit < BATCH ? way->credit : BATCH;
        int done;
        if (count > way->left)
            count = (int)way->left;
        for (int i = 0; i < count; i++) {
            out_parts[i].iov_base = way->start;
            out_parts[i].iov_len = (size_t)way->length;
        }
        done = sendmmsg(way->from[way->next], out, (unsigned)count, 0);
        if (done <= 0) {
            if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
                return; /* the credit stays */
            perror("sendmmsg");
            exit(1);
        }
        way->next = (way->next + 1) % flows;
        way->sent += done;
        way->left -= done;
        way->credit -= done;
    }
}

static void take(struct direction *way, int descriptor)
{
    for (;;) {
        int count = recvmmsg(descriptor, in, BATCH, 0, NULL);
        if (count <= 0)
            return;
        for (int i = 0; i < count; i++)
            way->wrong += (int)in[i].msg_len != way->expected;
        way->received += count;
        way->credit += count;
        if (count < BATCH)
            return;
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int size = atoi(argv[1]), window = atoi(argv[3]), flows = atoi(argv[4]);
    long packets = atol(argv[2]);
    if (argc != 5 + 2 * flows || flows < 1 || size < 1 || size > LARGEST)
        return 2;
    int *descriptors = calloc(2 * (size_t)flows, sizeof(int));
    int epoll = epoll_create1(0);
    struct epoll_event events[BATCH];
    for (int i = 0; i < 2 * flows; i++) {
        /* The first half are the clients', the second the peers'. */
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)i};
        descriptors[i] = atoi(argv[5 + i]);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptors[i], &event)) {
            perror("epoll_ctl");
            return 1;
        }
    }
    memset(payload, 'x', sizeof payload);
    payload[0] = 0x40;
    payload[1] = 0;
    payload[2] = (char)(size >> 8);
    payload[3] = (char)size;
    for (int i = 0; i < BATCH; i++) {
        in_parts[i] = (struct iovec){received[i], sizeof received[i]};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
    }
    struct direction up = {.from = descriptors, .start = payload, .length = HEADER + size, .expected = size, .left = packets, .credit = window};
    struct direction down = {.from = descriptors + flows, .start = payload + HEADER, .length = size, .expected = HEADER + size, .left = packets, .credit = window};
    while (up.received + down.received < 2 * packets) {
        transmit(&up, flows);
        transmit(&down, flows);
        int count = epoll_wait(epoll, events, BATCH, PATIENCE_MS);
        if (count == 0)
            break;
        for (int i = 0; i < count; i++) {
            int index = (int)events[i].data.u32;
            take(index < flows ? &down : &up, descriptors[index]);
        }
    }
    printf("{\"sent\": %ld, \"received\": %ld, \"wrong\": %ld}\n", up.sent + down.sent, up.received + down.received, up.wrong + down.wrong);
    return 0;
}
