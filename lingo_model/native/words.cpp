// Splits texts into words, and keeps the subword ids of each different word.
//
// The pieces of a subword model do not cross a space. So the ids of a text are those of its words,
// one after the other, and each different word has to be encoded only once. The caller encodes the
// words that are new; see lingo_model/word_encoder.py.
//
// A unigram model takes the segmentation of a text with the greatest sum of scores, and computes the
// sum in float32 from the start of the text. Two segmentations of a word with nearly the same sum,
// such as "00" "0" and "0" "00", are told apart by rounding, which depends on the words before. This
// file therefore computes by how much the best segmentation of a word beats the next one, and from
// that the greatest sum that rounding cannot turn it around in. A text that is above the limit of
// one of its words is marked as unsure, and the caller encodes it whole.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace {

constexpr int64_t kMaxWordBytes = 250;
constexpr uint8_t kSpaceMark[] = {0xE2, 0x96, 0x81};  // U+2581, which begins a word in a piece
constexpr int64_t kSpaceMarkBytes = 3;
constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr double kAlways = std::numeric_limits<double>::infinity();
// The sums of two segmentations differ from their exact values by at most half a unit in the last
// place (2^-24) for each piece. This is twice the sum of both.
constexpr double kRoundingOfPiece = 1.0 / (1 << 22);

enum RowStatus : uint8_t { kSure = 0, kNotPlain = 1, kUnsure = 2 };

// The prefixes of all pieces. A node is a prefix; edges are in one hash table.
class Trie {
 public:
  Trie() : keys_(1 << 12, 0), nodes_(1 << 12, 0), scores_(1, NAN), user_defined_(1, 0) {}

  void add(const uint8_t* piece, int64_t size, float score, bool is_user_defined) {
    int32_t node = 0;
    for (int64_t i = 0; i < size; ++i) node = child_or_new(node, piece[i]);
    scores_[node] = score;
    user_defined_[node] = is_user_defined;
  }

  // The node after one more byte, or -1.
  int32_t child(int32_t node, uint8_t byte) const {
    const uint64_t key = key_of(node, byte);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & (keys_.size() - 1)) {
      if (keys_[slot] == key) return nodes_[slot];
      if (keys_[slot] == 0) return -1;
    }
  }

  // The score of the piece, or NAN if the prefix is not a piece.
  float score(int32_t node) const { return scores_[node]; }
  bool is_user_defined(int32_t node) const { return user_defined_[node] != 0; }

 private:
  static uint64_t key_of(int32_t node, uint8_t byte) {
    return ((static_cast<uint64_t>(node) << 8) | byte) + 1;
  }

  size_t slot_of(uint64_t key) const {
    return (key * 0x9E3779B97F4A7C15ull >> 32) & (keys_.size() - 1);
  }

  int32_t child_or_new(int32_t node, uint8_t byte) {
    const int32_t found = child(node, byte);
    if (found >= 0) return found;
    const auto added = static_cast<int32_t>(scores_.size());
    scores_.push_back(NAN);
    user_defined_.push_back(0);
    if (scores_.size() * 2 > keys_.size()) grow();
    insert(key_of(node, byte), added);
    return added;
  }

  void insert(uint64_t key, int32_t node) {
    size_t slot = slot_of(key);
    while (keys_[slot] != 0) slot = (slot + 1) & (keys_.size() - 1);
    keys_[slot] = key;
    nodes_[slot] = node;
  }

  void grow() {
    std::vector<uint64_t> keys(keys_.size() * 2, 0);
    std::vector<int32_t> nodes(keys.size(), 0);
    keys.swap(keys_);
    nodes.swap(nodes_);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] != 0) insert(keys[i], nodes[i]);
    }
  }

  std::vector<uint64_t> keys_;  // 0: empty
  std::vector<int32_t> nodes_;
  std::vector<float> scores_;
  std::vector<uint8_t> user_defined_;
};

struct Word {
  int64_t first_byte;
  int64_t first_id;
  uint64_t hash;
  int32_t n_ids;
  float score;     // the absolute value of the best segmentation's sum
  float max_sum;   // the greatest absolute sum of a text with this word that is sure
  bool is_plain;   // whether the text may be encoded as it is
};

int64_t bytes_of_character(uint8_t first) {
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

uint64_t hash_of(const uint8_t* bytes, int64_t size) {
  uint64_t hash = 0x9E3779B97F4A7C15ull ^ static_cast<uint64_t>(size);
  for (int64_t i = 0; i < size; i += 8) {
    uint64_t part = 0;
    std::memcpy(&part, bytes + i, size - i < 8 ? size - i : 8);
    hash = (hash ^ part) * 0xD6E8FEB86659FD93ull;
    hash ^= hash >> 32;
  }
  return hash;
}

class Words {
 public:
  Words(const uint8_t* plain, bool is_unigram)
      : plain_(plain, plain + 0x110000 / 8), is_unigram_(is_unigram) {
    clear();
  }

  Trie trie;

  void clear() {
    words_.clear();
    bytes_.clear();
    ids_.clear();
    table_.assign(1 << 12, -1);
  }

  int64_t size() const { return static_cast<int64_t>(words_.size()); }
  int64_t n_bytes() const { return static_cast<int64_t>(bytes_.size()); }
  const Word& word(int32_t number) const { return words_[number]; }
  const int32_t* ids_of(const Word& word) const { return ids_.data() + word.first_id; }

  // The number of a word, which is added if it is new, or -1 if it is too long.
  int32_t number_of(const uint8_t* bytes, int64_t size) {
    if (size > kMaxWordBytes) return -1;
    const uint64_t hash = hash_of(bytes, size);
    size_t slot = hash & (table_.size() - 1);
    for (; table_[slot] >= 0; slot = (slot + 1) & (table_.size() - 1)) {
      const Word& known = words_[table_[slot]];
      if (known.hash == hash && size_of(table_[slot]) == size &&
          std::memcmp(bytes_.data() + known.first_byte, bytes, size) == 0) {
        return table_[slot];
      }
    }
    const auto number = static_cast<int32_t>(words_.size());
    words_.push_back(new_word(bytes, size, hash));
    bytes_.insert(bytes_.end(), bytes, bytes + size);
    table_[slot] = number;
    if (words_.size() * 2 > table_.size()) grow();
    return number;
  }

  // Where the bytes of the words from `first` on begin. They are one after the other.
  const uint8_t* spell(int64_t first, int64_t* offsets) const {
    const int64_t start = first < size() ? words_[first].first_byte : n_bytes();
    for (int64_t i = first; i < size(); ++i) offsets[i - first] = words_[i].first_byte - start;
    offsets[size() - first] = n_bytes() - start;
    return bytes_.data() + start;
  }

  void fill(int64_t first, const int32_t* ids, const int32_t* lengths) {
    for (int64_t i = first; i < size(); ++i) {
      words_[i].first_id = static_cast<int64_t>(ids_.size());
      words_[i].n_ids = lengths[i - first];
      ids_.insert(ids_.end(), ids, ids + lengths[i - first]);
      ids += lengths[i - first];
    }
  }

 private:
  int64_t size_of(int32_t number) const {
    const bool is_last = number + 1 == size();
    return (is_last ? n_bytes() : words_[number + 1].first_byte) - words_[number].first_byte;
  }

  Word new_word(const uint8_t* bytes, int64_t size, uint64_t hash) const {
    Word word{n_bytes(), 0, hash, 0, 0.0f, static_cast<float>(kAlways), true};
    bool has_space_mark = false;
    for (int64_t i = 0; i < size; i += bytes_of_character(bytes[i])) {
      const uint32_t code = code_at(bytes + i);
      word.is_plain = word.is_plain && (plain_[code >> 3] >> (code & 7) & 1);
      has_space_mark = has_space_mark || code == 0x2581;
    }
    if (has_space_mark) {
      word.max_sum = -1.0f;
    } else if (is_unigram_) {
      measure(bytes, size, &word);
    }
    return word;
  }

  static uint32_t code_at(const uint8_t* b) {
    switch (bytes_of_character(b[0])) {
      case 1: return b[0];
      case 2: return (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
      case 3: return (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
      default:
        return ((b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 |
                (b[3] & 0x3Fu)) % 0x110000;
    }
  }

  // The two greatest sums of a segmentation (Viterbi), and the limit that follows from them.
  // A word with a character that is not a piece, or with a user-defined piece, is never sure.
  void measure(const uint8_t* bytes, int64_t size, Word* word) const {
    uint8_t text[kSpaceMarkBytes + kMaxWordBytes];
    double best[kSpaceMarkBytes + kMaxWordBytes + 1];
    double next[kSpaceMarkBytes + kMaxWordBytes + 1];
    std::memcpy(text, kSpaceMark, kSpaceMarkBytes);
    std::memcpy(text + kSpaceMarkBytes, bytes, size);
    const int64_t end = kSpaceMarkBytes + size;
    for (int64_t i = 0; i <= end; ++i) best[i] = next[i] = kNever;
    best[0] = 0.0;
    int64_t n_characters = 0;
    word->max_sum = -1.0f;
    for (int64_t i = 0; i < end; ++n_characters) {
      const int64_t after = i + bytes_of_character(text[i]);
      bool has_character = false;
      int32_t node = 0;
      for (int64_t j = i; j < end;) {
        node = trie.child(node, text[j++]);
        if (node < 0) break;
        const float score = trie.score(node);
        if (std::isnan(score)) continue;
        if (trie.is_user_defined(node)) return;
        has_character = has_character || j == after;
        add_sum(best[i] + score, &best[j], &next[j]);
        add_sum(next[i] + score, &best[j], &next[j]);
      }
      if (!has_character) return;
      i = after;
    }
    word->score = static_cast<float>(std::fabs(best[end]));
    const double lead = best[end] - next[end];
    const double max_sum = lead / (static_cast<double>(n_characters) * kRoundingOfPiece);
    word->max_sum = static_cast<float>(next[end] == kNever ? kAlways : max_sum);
  }

  static void add_sum(double sum, double* best, double* next) {
    if (sum > *best) {
      *next = *best;
      *best = sum;
    } else if (sum > *next) {
      *next = sum;
    }
  }

  void grow() {
    table_.assign(table_.size() * 2, -1);
    for (int32_t number = 0; number < size(); ++number) {
      size_t slot = words_[number].hash & (table_.size() - 1);
      while (table_[slot] >= 0) slot = (slot + 1) & (table_.size() - 1);
      table_[slot] = number;
    }
  }

  std::vector<uint8_t> plain_;  // one bit for each code point
  bool is_unigram_;
  std::vector<Word> words_;
  std::vector<uint8_t> bytes_;  // of all words
  std::vector<int32_t> ids_;    // of all words
  std::vector<int32_t> table_;  // numbers of words by hash, or -1
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// pieces: their bytes one after the other. plain: one bit for each code point.
EXPORT void* lingo_words_new(int64_t n_pieces, const uint8_t* pieces, const int64_t* offsets,
                             const float* scores, const uint8_t* user_defined,
                             const uint8_t* plain, int32_t is_unigram) {
  auto* words = new Words(plain, is_unigram != 0);
  for (int64_t i = 0; i < n_pieces; ++i) {
    const int64_t size = offsets[i + 1] - offsets[i];
    if (size) words->trie.add(pieces + offsets[i], size, scores[i], user_defined[i] != 0);
  }
  return words;
}

EXPORT void lingo_words_free(Words* words) { delete words; }

EXPORT void lingo_words_clear(Words* words) { words->clear(); }

EXPORT int64_t lingo_words_count(const Words* words) { return words->size(); }

EXPORT int64_t lingo_words_bytes(const Words* words) { return words->n_bytes(); }

// numbers: room for (bytes + n_rows) / 2 + 1 words. Returns how many there are.
EXPORT int64_t lingo_words_split(Words* words, int64_t n_rows, const uint8_t* texts,
                                 const int64_t* offsets, int32_t* numbers, int32_t* n_words) {
  int64_t n = 0;
  for (int64_t row = 0; row < n_rows; ++row) {
    const int64_t before = n;
    const uint8_t* position = texts + offsets[row];
    const uint8_t* end = texts + offsets[row + 1];
    while (position < end) {
      if (*position == ' ') {
        ++position;
        continue;
      }
      const auto* stop = static_cast<const uint8_t*>(std::memchr(position, ' ', end - position));
      if (stop == nullptr) stop = end;
      numbers[n++] = words->number_of(position, stop - position);
      position = stop;
    }
    n_words[row] = static_cast<int32_t>(n - before);
  }
  return n;
}

EXPORT const uint8_t* lingo_words_spell(const Words* words, int64_t first, int64_t* offsets) {
  return words->spell(first, offsets);
}

EXPORT void lingo_words_fill(Words* words, int64_t first, const int32_t* ids,
                             const int32_t* lengths) {
  words->fill(first, ids, lengths);
}

// The number of ids of each row, or 0 and the reason if the row has to be encoded in another way.
// is_read: whether the texts are already in the form that the model reads.
EXPORT void lingo_words_measure(const Words* words, int64_t n_rows, const int32_t* numbers,
                                const int32_t* n_words, int32_t is_read, int32_t* lengths,
                                uint8_t* status) {
  for (int64_t row = 0; row < n_rows; ++row) {
    int32_t length = 0;
    uint8_t row_status = kSure;
    double sum = 0.0;
    double max_sum = kAlways;
    for (int32_t i = 0; i < n_words[row]; ++i) {
      const int32_t number = *numbers++;
      if (number < 0) {  // too long, so its characters are not known to be plain
        row_status = is_read ? kUnsure : kNotPlain;
        continue;
      }
      const Word& word = words->word(number);
      if (!is_read && !word.is_plain) row_status = kNotPlain;
      length += word.n_ids;
      sum += word.score;
      max_sum = word.max_sum < max_sum ? word.max_sum : max_sum;
    }
    if (row_status == kSure && sum > max_sum) row_status = kUnsure;
    status[row] = row_status;
    lengths[row] = row_status == kSure ? length : 0;
  }
}

// The ids of the rows that are sure, each with end_id after it unless that is negative.
EXPORT void lingo_words_gather(const Words* words, int64_t n_rows, const int32_t* numbers,
                               const int32_t* n_words, const uint8_t* status, int32_t end_id,
                               int32_t* ids) {
  for (int64_t row = 0; row < n_rows; ++row) {
    if (status[row] == kSure) {
      for (int32_t i = 0; i < n_words[row]; ++i) {
        const Word& word = words->word(numbers[i]);
        const int32_t* of_word = words->ids_of(word);
        for (int32_t k = 0; k < word.n_ids; ++k) *ids++ = of_word[k];
      }
      if (end_id >= 0) *ids++ = end_id;
    }
    numbers += n_words[row];
  }
}
