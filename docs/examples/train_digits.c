/* SPDX-License-Identifier: Apache-2.0
 *
 * train_digits.c - data-parallel training of a small network on handwritten digits.
 *
 *	train_digits digits.txt                     alone
 *	tutti run -n 4 train_digits digits.txt      on four ranks (or under mpirun, srun, torchrun)
 *
 * Every rank holds the whole network and reads the same data. A step takes one batch, each rank computes the
 * gradient of its share of it, one all-reduce adds the gradients up, and every rank makes the same step. The
 * batches do not depend on the number of ranks, so the loss does not either, up to the rounding of sums that are
 * added in another order. At the end the ranks compare their parameters: they must be the same bits.
 */
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/tutti.h>

enum { PIXELS = 64, HIDDEN = 64, CLASSES = 10, MOST_DIGITS = 4096, HELD_OUT_EVERY = 5 };

struct digit {
	float pixels[PIXELS]; /* 0 to 1 */
	int label;
};

struct network {
	float hidden_weights[HIDDEN][PIXELS], hidden_bias[HIDDEN];
	float output_weights[CLASSES][HIDDEN], output_bias[CLASSES];
};
enum { PARAMETERS = sizeof(struct network) / sizeof(float) };

/* What a step adds up over the ranks: floats only, so that one call does it. */
struct sums {
	struct network gradient;
	float loss;
};
enum { SUMS = sizeof(struct sums) / sizeof(float) };

struct options {
	int epochs, batch;
	float rate, momentum;
	uint64_t seed;
	const char *file;
};

struct digits {
	struct digit all[MOST_DIGITS];
	int training[MOST_DIGITS], held_out[MOST_DIGITS]; /* places in `all` */
	int n, training_n, held_out_n;
};

/* ---- errors: the status says what kind, tutti_last_error() says it in a sentence ------------------------- */

static void
check(tutti_status status, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (status == TUTTI_OK)
		return;
	tutti_last_error(&error);
	fprintf(stderr, "train_digits: %s: %s: %s\n", what, tutti_status_string(status), error.message);
	exit(EXIT_FAILURE);
}

static void
give_up(const char *what, const char *object)
{
	fprintf(stderr, "train_digits: %s: %s\n", object, what);
	exit(EXIT_FAILURE);
}

/* ---- random numbers that are the same everywhere (splitmix64) --------------------------------------------- */

static uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void
shuffle(int *places, int n, uint64_t *state)
{
	for (int i = n - 1; i > 0; i--) {
		int j = (int)(random_next(state) % (uint64_t)(i + 1)), held = places[i];

		places[i] = places[j];
		places[j] = held;
	}
}

/* ---- the digits: a line each, "LABEL PIXELS", one character 0-9a-g per pixel -------------------------------- */

static bool
read_digit(const char *line, struct digit *digit)
{
	static const char levels[] = "0123456789abcdefg";

	if (line[0] < '0' || line[0] > '9' || line[1] != ' ')
		return false;
	digit->label = line[0] - '0';
	for (int i = 0; i < PIXELS; i++) {
		const char *level = line[2 + i] != '\0' ? strchr(levels, line[2 + i]) : NULL;

		if (level == NULL)
			return false;
		digit->pixels[i] = (float)(level - levels) / 16.0f;
	}
	return line[2 + PIXELS] == '\n';
}

/* Every fifth digit of a shuffled list is held out: never trained on, only asked. */
static void
read_digits(const struct options *options, struct digits *digits)
{
	FILE *file = fopen(options->file, "r");
	int order[MOST_DIGITS];
	uint64_t state = options->seed;
	char line[128];

	if (file == NULL)
		give_up("cannot be opened", options->file);
	while (fgets(line, sizeof line, file) != NULL) {
		if (digits->n == MOST_DIGITS || !read_digit(line, &digits->all[digits->n]))
			give_up("is not a file of digits (see DATA.md)", options->file);
		order[digits->n] = digits->n;
		digits->n++;
	}
	fclose(file);
	if (digits->n < HELD_OUT_EVERY)
		give_up("has too few digits", options->file);
	shuffle(order, digits->n, &state);
	for (int i = 0; i < digits->n; i++) {
		if (i % HELD_OUT_EVERY == 0)
			digits->held_out[digits->held_out_n++] = order[i];
		else
			digits->training[digits->training_n++] = order[i];
	}
}

/* ---- the network: 64 pixels, 64 tanh units, softmax over 10 classes ----------------------------------------- */

static float
random_weight(uint64_t *state, float most)
{
	return most * ((float)(random_next(state) >> 40) * 0x1p-23f - 1.0f);
}

static void
network_init(struct network *network, uint64_t seed)
{
	const float most_hidden = sqrtf(6.0f / (PIXELS + HIDDEN)), most_output = sqrtf(6.0f / (HIDDEN + CLASSES));
	uint64_t state = ~seed;

	memset(network, 0, sizeof *network);
	for (int h = 0; h < HIDDEN; h++) {
		for (int p = 0; p < PIXELS; p++)
			network->hidden_weights[h][p] = random_weight(&state, most_hidden);
		for (int c = 0; c < CLASSES; c++)
			network->output_weights[c][h] = random_weight(&state, most_output);
	}
}

/* Fills in what the units say; `classes` adds up to 1. */
static void
forward(const struct network *network, const struct digit *digit, float hidden[HIDDEN], float classes[CLASSES])
{
	float most = -INFINITY, total = 0;

	for (int h = 0; h < HIDDEN; h++) {
		hidden[h] = network->hidden_bias[h];
		for (int p = 0; p < PIXELS; p++)
			hidden[h] += network->hidden_weights[h][p] * digit->pixels[p];
		hidden[h] = tanhf(hidden[h]);
	}
	for (int c = 0; c < CLASSES; c++) {
		classes[c] = network->output_bias[c];
		for (int h = 0; h < HIDDEN; h++)
			classes[c] += network->output_weights[c][h] * hidden[h];
		most = fmaxf(most, classes[c]);
	}
	for (int c = 0; c < CLASSES; c++)
		total += classes[c] = expf(classes[c] - most);
	for (int c = 0; c < CLASSES; c++)
		classes[c] /= total;
}

/* Adds one digit's gradient and loss. */
static void
learn(const struct network *network, const struct digit *digit, struct sums *sums)
{
	struct network *gradient = &sums->gradient;
	float hidden[HIDDEN], classes[CLASSES], back[HIDDEN] = {0};

	forward(network, digit, hidden, classes);
	sums->loss -= logf(fmaxf(classes[digit->label], 1e-30f));
	for (int c = 0; c < CLASSES; c++) {
		const float wrong = classes[c] - (c == digit->label ? 1.0f : 0.0f);

		gradient->output_bias[c] += wrong;
		for (int h = 0; h < HIDDEN; h++) {
			gradient->output_weights[c][h] += wrong * hidden[h];
			back[h] += wrong * network->output_weights[c][h];
		}
	}
	for (int h = 0; h < HIDDEN; h++) {
		back[h] *= 1.0f - hidden[h] * hidden[h];
		gradient->hidden_bias[h] += back[h];
		for (int p = 0; p < PIXELS; p++)
			gradient->hidden_weights[h][p] += back[h] * digit->pixels[p];
	}
}

/* Gradient descent with momentum: the same on every rank, as the gradient is. */
static void
descend(struct network *network, struct network *speed, const struct network *gradient, float scale, float momentum)
{
	float *weights = (float *)network, *speeds = (float *)speed;
	const float *slopes = (const float *)gradient;

	for (int i = 0; i < PARAMETERS; i++) {
		speeds[i] = momentum * speeds[i] - scale * slopes[i];
		weights[i] += speeds[i];
	}
}

/* ---- what the ranks do together --------------------------------------------------------------------------- */

/* This rank's part of n things: [*begin, *end). Parts differ by at most one and may be empty. */
static void
my_share(tutti_comm *comm, int n, int *begin, int *end)
{
	const int rank = tutti_comm_rank(comm), size = tutti_comm_size(comm);

	*begin = (int)((int64_t)n * rank / size);
	*end = (int)((int64_t)n * (rank + 1) / size);
}

/* Goes through the training digits once; returns the mean loss. */
static double
train_epoch(tutti_comm *comm, const struct options *options, const struct digits *digits, const int *order,
    struct network *network, struct network *speed)
{
	struct sums sums;
	double loss = 0;

	for (int first = 0; first < digits->training_n; first += options->batch) {
		const int left = digits->training_n - first, n = left < options->batch ? left : options->batch;
		int begin, end;

		memset(&sums, 0, sizeof sums);
		my_share(comm, n, &begin, &end);
		for (int i = begin; i < end; i++)
			learn(network, &digits->all[order[first + i]], &sums);
		/* A sum, divided by the size of the whole batch, is right for shares of any size, also empty ones;
		 * an average of the ranks' averages would not be. */
		check(tutti_all_reduce(comm, &sums, &sums, SUMS, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL),
		    "adding up the gradients");
		descend(network, speed, &sums.gradient, options->rate / (float)n, options->momentum);
		loss += (double)sums.loss;
	}
	return loss / digits->training_n;
}

/* The share of the held-out digits that the network recognises. */
static double
accuracy(tutti_comm *comm, const struct digits *digits, const struct network *network)
{
	float hidden[HIDDEN], classes[CLASSES];
	int64_t right = 0;
	int begin, end;

	my_share(comm, digits->held_out_n, &begin, &end);
	for (int i = begin; i < end; i++) {
		const struct digit *digit = &digits->all[digits->held_out[i]];
		int best = 0;

		forward(network, digit, hidden, classes);
		for (int c = 1; c < CLASSES; c++)
			best = classes[c] > classes[best] ? c : best;
		right += best == digit->label;
	}
	check(tutti_all_reduce(comm, &right, &right, 1, TUTTI_INT64, TUTTI_SUM, NULL, NULL), "counting");
	return (double)right / digits->held_out_n;
}

/* Every rank's checksum (FNV-1a) of its parameters, compared on every rank. */
static void
compare_parameters(tutti_comm *comm, const struct network *network)
{
	const int rank = tutti_comm_rank(comm), size = tutti_comm_size(comm);
	const unsigned char *bytes = (const unsigned char *)network;
	uint64_t sum = 0xcbf29ce484222325u, *every = calloc((size_t)size, sizeof *every);

	if (every == NULL)
		give_up("no memory", "checksums");
	for (size_t i = 0; i < sizeof *network; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3u;
	check(tutti_all_gather(comm, &sum, every, 1, TUTTI_UINT64, NULL, NULL), "comparing parameters");
	for (int r = 0; r < size; r++) {
		if (every[r] != every[0])
			give_up("differ from rank 0's", "parameters");
	}
	if (rank == 0)
		printf("parameters %016llx, the same on every rank\n", (unsigned long long)sum);
	free(every);
}

static void
train(tutti_comm *comm, const struct options *options, struct digits *digits)
{
	struct network network, speed = {0};
	uint64_t state = options->seed + 1;

	/* All could draw the same numbers; broadcasting is what a program does that loads them from a file. */
	if (tutti_comm_rank(comm) == 0) {
		network_init(&network, options->seed);
		printf("%d digits to learn, %d held out, batches of %d, %d parameters, %d ranks\n",
		    digits->training_n, digits->held_out_n, options->batch, PARAMETERS, tutti_comm_size(comm));
	}
	check(tutti_broadcast(comm, &network, &network, PARAMETERS, TUTTI_FLOAT32, 0, NULL, NULL),
	    "handing out the first parameters");
	for (int epoch = 1; epoch <= options->epochs; epoch++) {
		double loss, right;

		shuffle(digits->training, digits->training_n, &state);
		loss = train_epoch(comm, options, digits, digits->training, &network, &speed);
		right = accuracy(comm, digits, &network);
		if (tutti_comm_rank(comm) == 0)
			printf("epoch %2d  loss %.7f  held out %.2f %%\n", epoch, loss, 100 * right);
	}
	compare_parameters(comm, &network);
}

static int
read_number(const char *text, int least)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < least || value > 1000000)
		give_up("is not a number that can be used here", text);
	return (int)value;
}

int
main(int argc, char **argv)
{
	static struct digits digits;
	struct options options = {.epochs = 20, .batch = 32, .rate = 0.05f, .momentum = 0.9f, .seed = 1};
	tutti_comm *comm;
	int option;

	while ((option = getopt(argc, argv, "e:b:s:")) != -1) {
		if (option == 'e')
			options.epochs = read_number(optarg, 1);
		else if (option == 'b')
			options.batch = read_number(optarg, 1);
		else if (option == 's')
			options.seed = (uint64_t)read_number(optarg, 0);
		else
			optind = argc + 1;
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: train_digits [-e EPOCHS] [-b BATCH] [-s SEED] digits.txt\n");
		return 2;
	}
	options.file = argv[optind];
	read_digits(&options, &digits);
	check(tutti_comm_create_from_env(NULL, &comm), "meeting the other ranks");
	train(comm, &options, &digits);
	check(tutti_comm_destroy(comm), "leaving");
	return 0;
}
