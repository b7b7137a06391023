"""The special token ids, which are the same in every subword model of this project.

The ids are pad 0, unk 1, sos 2 and eos 3. Ten placeholder symbols ``<ph0>`` to ``<ph9>`` follow
with ids 4 to 13. They stand for markup and variables and are never split.
"""

PAD_ID, UNK_ID, SOS_ID, EOS_ID = 0, 1, 2, 3
PLACEHOLDERS = tuple(f"<ph{i}>" for i in range(10))
N_SPECIAL = 4 + len(PLACEHOLDERS)
